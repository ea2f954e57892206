import type { Role, RoomKind, RoomSummary } from '../protocol/model.ts';

/** A room with one user's part in it, as the queries select it. */
export interface SummaryRow {
  id: string;
  kind: RoomKind;
  name: string | null;
  role: Role | null;
  last_seq: number;
  last_rev: number;
  last_read_seq: number | null;
  peer: string | null;
  peer_name: string | null;
}

export function summaryOf(row: SummaryRow): RoomSummary {
  const summary: RoomSummary = {
    id: row.id,
    kind: row.kind,
    name: row.name,
    role: row.role,
    seq: row.last_seq,
    rev: row.last_rev,
    read: row.last_read_seq ?? 0,
  };
  if (row.peer !== null) summary.peer = { id: row.peer, name: row.peer_name };
  return summary;
}
