/** The lanes of notifications, from the most urgent one to the least. Each lane has its own queue and its own workers. */
export const lanes = ['critical', 'high', 'normal', 'low', 'batch'] as const;
export type Lane = (typeof lanes)[number];
