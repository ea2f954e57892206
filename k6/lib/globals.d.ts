/** What k6 has in its global scope and `@types/k6` does not name. */
declare function setTimeout(callback: () => void, ms: number): number;
declare function clearTimeout(timer: number): void;
declare function setInterval(callback: () => void, ms: number): number;
declare function clearInterval(timer: number): void;
declare const crypto: { randomUUID(): string };
declare const console: { log(...args: unknown[]): void; error(...args: unknown[]): void };
