/** The entry `parley/mentions`: how the server finds mentions in a text, for applications that show them. */
export { inWord, mentionRuns } from '../protocol/mention-scan.ts';
