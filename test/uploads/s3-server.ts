/**
 * A server of the protocol of S3, with its objects in a folder or in memory. The machine has `versitygw` (Go), `moto_server`
 * (Python), or none. `go install github.com/versity/versitygw/cmd/versitygw@latest` or `pip install moto[server]`
 * brings one.
 */
import { S3 } from '@aws-sdk/client-s3';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort, temporaryFolder } from '../support/processes.ts';
import { until } from '../support/until.ts';

export interface S3Server {
  readonly url: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** The keys of all objects, in order. */
  objects(): Promise<string[]>;
  /** Multipart uploads that have not ended. */
  unfinished(): Promise<number>;
  stop(): Promise<void>;
}

const keys = { accessKey: 'parley-tests', secretKey: 'a-secret-of-the-tests' };

/** @returns undefined if the machine has no such server */
export async function startS3(bucket: string): Promise<S3Server | undefined> {
  const folder = temporaryFolder('parley-s3-');
  const port = await freePort();
  const command = commandOf(folder, port);
  if (command === undefined) {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  const [program, ...args] = command;
  const child = spawn(program, args, {
    stdio: 'ignore',
    env: { ...process.env, ROOT_ACCESS_KEY: keys.accessKey, ROOT_SECRET_KEY: keys.secretKey },
  });
  const ended = once(child, 'exit');
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey };
  const client = new S3({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1 });
  await until(
    `${program} answers`,
    () =>
      client.createBucket({ Bucket: bucket }).then(
        () => true,
        () => false,
      ),
    60_000,
  );
  return {
    url: endpoint,
    ...keys,
    async objects() {
      const { Contents = [] } = await client.listObjectsV2({ Bucket: bucket });
      return Contents.map(({ Key = '' }) => Key).toSorted();
    },
    async unfinished() {
      const { Uploads = [] } = await client.listMultipartUploads({ Bucket: bucket });
      return Uploads.length;
    },
    async stop() {
      client.destroy();
      child.kill();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

function commandOf(folder: string, port: number): [string, ...string[]] | undefined {
  const gateway = found('versitygw');
  if (gateway !== undefined)
    return [gateway, '--port', `127.0.0.1:${port}`, '--quiet', 'posix', '--sidecar', join(folder, '.facts'), folder];
  const moto = found('moto_server');
  return moto === undefined ? undefined : [moto, '-H', '127.0.0.1', '-p', String(port)];
}

function found(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), join(homedir(), 'go', 'bin')];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}
