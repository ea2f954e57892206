/** The metrics of uploads and of the files that are read. */
import { Counter, type Registry } from 'prom-client';

export class UploadMetrics {
  readonly #registry: Registry;
  readonly begun: Counter;
  readonly completed: Counter;
  readonly removed: Counter;
  readonly bytes: Counter;
  /** Label: limit (size, user, open, type or transfers). */
  readonly refused: Counter<'limit'>;
  /** Label: outcome (sent, forged, expired or missing). */
  readonly reads: Counter<'outcome'>;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.begun = this.#counter('parley_uploads_begun_total', 'Uploads that began');
    this.completed = this.#counter('parley_uploads_completed_total', 'Uploads whose last byte arrived');
    this.removed = this.#counter(
      'parley_uploads_removed_total',
      'Uploads that were removed: their owner ended them, or no message named them',
    );
    this.bytes = this.#counter('parley_upload_bytes_total', 'Bytes of uploads that arrived');
    this.refused = this.#counter(
      'parley_uploads_refused_total',
      'Requests of uploads and files over a limit: size, user, open, type or transfers',
      ['limit'],
    );
    this.reads = this.#counter(
      'parley_file_reads_total',
      'Requests of files by signed links, by outcome: sent, forged, expired or missing',
      ['outcome'],
    );
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
