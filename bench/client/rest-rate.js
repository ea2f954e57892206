/** k6: 1,000 requests a second of REST, nine reads for each send, and their times. Settings: URL, TOKEN, ROOM, RATE, SECONDS. */
import http from 'k6/http';

const { URL, TOKEN, ROOM, RATE = '1000', SECONDS = '20' } = __ENV;

export const options = {
  scenarios: {
    rest: {
      exec: 'request',
      executor: 'constant-arrival-rate',
      rate: Number(RATE),
      timeUnit: '1s',
      duration: `${SECONDS}s`,
      preAllocatedVUs: 200,
    },
  },
  summaryTrendStats: ['p(50)', 'p(95)', 'p(99)', 'max'],
};

const address = `${URL}/api/v1/rooms/${ROOM}/messages`;
const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
const body = JSON.stringify({ body: { text: 'x'.repeat(100) } });

export function request() {
  if (__ITER % 10 === 0) http.post(address, body, { headers });
  else http.get(`${address}?limit=20`, { headers });
}
