import { bigint, customType, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';

const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  fromDriver: (value) => new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
});
const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

/** Every edit that was ever acknowledged, in order: the truth that rankings and documents are folded from. */
export const roomLog = pgTable(
  'room_log',
  {
    room: text().notNull(),
    seq: bigint({ mode: 'number' }).notNull(),
    userId: text('user_id').notNull(),
    bytes: bytea().notNull(),
    sha256: text().notNull(),
    at: at('at').notNull().defaultNow()
  },
  (t) => [primaryKey({ columns: [t.room, t.seq] })]
);

/** Yjs client ids, each issued to one user in one room. */
export const roomClient = pgTable(
  'room_client',
  {
    room: text().notNull(),
    clientId: bigint('client_id', { mode: 'number' }).notNull(),
    userId: text('user_id').notNull(),
    issuedAt: at('issued_at').notNull().defaultNow()
  },
  (t) => [primaryKey({ columns: [t.room, t.clientId] })]
);
