// its own types cannot be reached through its `exports`; what is used of it has not changed since
declare module 'socket.io-client-3' {
  export { io } from 'socket.io-client';
}
