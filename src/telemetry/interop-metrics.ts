/** The metrics of backend services that publish over Redis. */
import { Counter, type Registry } from 'prom-client';

export class InteropMetrics {
  readonly messages: Counter<'request'>;
  readonly refused: Counter<'reason'>;
  readonly unsent: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.messages = new Counter({
      name: 'parley_door_messages_total',
      help: 'Requests of backend services over Redis',
      labelNames: ['request'],
      registers,
    });
    this.refused = new Counter({
      name: 'parley_door_refused_total',
      help: 'Requests of backend services that were refused',
      labelNames: ['reason'],
      registers,
    });
    this.unsent = new Counter({
      name: 'parley_door_unsent_total',
      help: 'Answers to backend services that could not be published to Redis',
      registers,
    });
  }
}
