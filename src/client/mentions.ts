/** The entry `parley/mentions`: the server's scan for mentions in a text, for applications that show them. */
export { inWord, mentionRuns } from '../protocol/mention-scan.ts';
