/** Globals of k6 that `@types/k6` does not declare. */
declare function setTimeout(callback: () => void, ms: number): number;
declare function clearTimeout(timer: number): void;
declare function setInterval(callback: () => void, ms: number): number;
declare function clearInterval(timer: number): void;
declare const crypto: { randomUUID(): string };
declare const console: { log(...args: unknown[]): void; error(...args: unknown[]): void };
