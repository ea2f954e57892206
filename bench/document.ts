import type { Results } from './report.ts';
export async function document(all: Results, folder: string): Promise<void> { await Promise.resolve(); void all; void folder; }
