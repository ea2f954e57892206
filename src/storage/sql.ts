/** The types of the Postgres driver, for all other files: only this one and client.ts name the driver. */
import type postgres from 'postgres';

export type { postgres };
