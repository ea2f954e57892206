import { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import { limits } from './limits.ts';

export interface CommandSchema {
  readonly about: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  /** What it may fail with, besides what every command may: invalid, rate_limited, overloaded, unavailable, internal. */
  readonly errors: readonly ErrorCode[];
}

export const pageLimit = z.int().min(1).max(limits.pageSize).default(50);
