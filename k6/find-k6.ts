import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findBinaries } from '../test/support/binaries.ts';

/** The path of k6: named by K6, in PATH, or in the folder of `go install`. `k6/websockets` needs version 2 (or a late 1). */
export function findK6(): string | undefined {
  const inPath = findBinaries('k6')[0];
  const places = [
    process.env['K6'],
    inPath && join(inPath, 'k6'),
    join(process.env['GOBIN'] ?? join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin'), 'k6'),
  ];
  return places.find((place) => place !== undefined && place !== '' && existsSync(place) && runs(place));
}

function runs(program: string): boolean {
  try {
    return execFileSync(program, ['version'], { encoding: 'utf8', stdio: 'pipe', timeout: 20_000 }).includes('v');
  } catch {
    return false;
  }
}
