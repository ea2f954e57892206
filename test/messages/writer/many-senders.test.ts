import { afterAll, beforeAll, describe, it } from 'vitest';
import { assertDense } from '../../support/messaging.ts';
import { makeDataDir, spawnServer, type DataDir, type SpawnedServer } from '../../support/spawn.ts';
import { startServer, tokenOf, type TestServer } from '../../support/server.ts';
import { intoManyRooms, intoOneRoom, manySendersEnv } from './many-senders.ts';

describe('100 concurrent senders on Postgres', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(manySendersEnv);
  });
  afterAll(async () => {
    await assertDense(server.database.sql);
    await server.stop();
  });

  it('into one room get dense seqs, acks in seq order, and all events in order', async () => {
    await intoOneRoom(server.url, tokenOf, 12);
  }, 60_000);

  it('into 1,000 rooms get dense seqs, and acks in seq order', async () => {
    await intoManyRooms(server.url, tokenOf, 2);
  }, 60_000);
});

describe('100 concurrent senders on the embedded database', () => {
  let dataDir: DataDir;
  let server: SpawnedServer;
  beforeAll(async () => {
    dataDir = makeDataDir();
    server = await spawnServer({ ...manySendersEnv, PARLEY_DATA_DIR: dataDir.path });
  });
  afterAll(async () => {
    server.kill('SIGTERM');
    await server.exit();
    dataDir.remove();
  });

  it('into one room get dense seqs, acks in seq order, and all events in order', async () => {
    await intoOneRoom(server.url, dataDir.tokenOf, 6);
  }, 60_000);

  it('into 1,000 rooms get dense seqs, and acks in seq order', async () => {
    await intoManyRooms(server.url, dataDir.tokenOf, 1);
  }, 60_000);
});
