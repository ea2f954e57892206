/** Names of the databases that this process has created and not dropped. */
export const openDatabases = new Set<string>();
