/** Checks of settings against each other, after each has been parsed. */
import { existsSync, statSync } from 'node:fs';
import { greatestWeight } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';

/** Bytes of a command with the longest body, and of its envelope. */
const leastFrameBytes = limits.bodyBytes + 4096;

interface Checked {
  readonly port: number;
  readonly adminPort: number | undefined;
  readonly commandBurst: number;
  readonly commandBurstPerUser: number | undefined;
  readonly maxFrameBytes: number;
  readonly maxBufferedBytes: number;
  readonly maxUnsentBytesPerUser: number;
  readonly maxUnsentBytesPerAddress: number;
  readonly writerBatch: number;
  readonly writerQueue: number;
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
  readonly uploadStore: 'off' | 'folder' | 's3' | undefined;
  readonly uploadBucket: string | undefined;
  readonly uploadAccessKey: string | undefined;
  readonly uploadSecretKey: string | undefined;
  readonly uploadSecret: string | undefined;
  readonly uploadMaxBytes: number;
  readonly uploadMaxBytesPerUser: number;
  readonly jwtSecret: string | undefined;
  readonly walletDomains: readonly string[];
}

/** @returns a line for each setting that has no effect, or that contradicts another one. */
export function contradictions(config: Checked): string[] {
  const problems: string[] = [];
  if (config.adminPort === config.port && config.port !== 0) {
    problems.push(`PARLEY_ADMIN_PORT=${config.adminPort}: expected another port than PORT`);
  }
  if (config.commandBurst < greatestWeight) {
    problems.push(
      `PARLEY_COMMAND_BURST=${config.commandBurst}: expected at least ${greatestWeight}, because \`search\` counts as ${greatestWeight} commands`,
    );
  }
  const { commandBurstPerUser = greatestWeight } = config;
  if (commandBurstPerUser < greatestWeight) {
    problems.push(
      `PARLEY_COMMAND_BURST_PER_USER=${commandBurstPerUser}: expected at least ${greatestWeight}, because \`search\` counts as ${greatestWeight} commands`,
    );
  }
  if (config.maxFrameBytes < leastFrameBytes) {
    problems.push(
      `PARLEY_MAX_FRAME_BYTES=${config.maxFrameBytes}: expected at least ${leastFrameBytes}, because a frame holds a message of ${limits.bodyBytes} bytes`,
    );
  }
  ascending(problems, [
    ['PARLEY_WRITER_BATCH', config.writerBatch],
    ['PARLEY_WRITER_QUEUE', config.writerQueue],
  ]);
  ascending(problems, [
    ['PARLEY_MAX_BUFFERED_BYTES', config.maxBufferedBytes],
    ['PARLEY_MAX_UNSENT_BYTES_PER_USER', config.maxUnsentBytesPerUser],
    ['PARLEY_MAX_UNSENT_BYTES_PER_ADDRESS', config.maxUnsentBytesPerAddress],
  ]);
  ascending(problems, [
    ['PARLEY_UPLOAD_MAX_BYTES', config.uploadMaxBytes],
    ['PARLEY_UPLOAD_MAX_BYTES_PER_USER', config.uploadMaxBytesPerUser],
  ]);
  missingOfUploads(problems, config);
  const { dataDir } = config;
  if (config.databaseUrl === undefined && existsSync(dataDir) && !statSync(dataDir).isDirectory()) {
    problems.push(`PARLEY_DATA_DIR=${dataDir}: expected a folder, but the path is a file`);
  }
  if (config.walletDomains.length > 0 && config.databaseUrl !== undefined && config.jwtSecret === undefined) {
    problems.push(
      'PARLEY_WALLET_DOMAINS: expected PARLEY_JWT_SECRET too, with which the server signs tokens of wallets',
    );
  }
  return problems;
}

function ascending(problems: string[], settings: readonly (readonly [string, number])[]): void {
  settings.forEach(([name, value], i) => {
    const [before, least] = settings[i - 1] ?? ['', 0];
    if (value < least) problems.push(`${name}=${value}: expected at least ${least}, which is ${before}`);
  });
}

/** A store of uploads needs all of its settings. */
function missingOfUploads(problems: string[], config: Checked): void {
  const { uploadStore: store } = config;
  if (store === undefined || store === 'off') return;
  const needed: (readonly [string, string | undefined])[] = [];
  // the embedded demo makes this secret
  if (config.databaseUrl !== undefined) needed.push(['PARLEY_UPLOAD_SECRET', config.uploadSecret]);
  if (store === 's3') {
    needed.push(
      ['PARLEY_UPLOAD_BUCKET', config.uploadBucket],
      ['PARLEY_UPLOAD_ACCESS_KEY', config.uploadAccessKey],
      ['PARLEY_UPLOAD_SECRET_KEY', config.uploadSecretKey],
    );
  }
  for (const [name, value] of needed) {
    if (value === undefined) problems.push(`PARLEY_UPLOAD_STORE=${store}: expected ${name} too`);
  }
}
