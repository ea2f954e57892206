import { RedisAdapter } from '@socket.io/redis-adapter';
import { socketioRedisContract } from '../../contract/socketio-redis.contract.ts';

socketioRedisContract(RedisAdapter as unknown as new (...args: never[]) => object);
