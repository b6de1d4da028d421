// Hocuspocus with its database extension, as its documentation sets it up, on the PostgreSQL that it is told.
//   PORT, PGHOST, PGPASSWORD
import { Database } from '@hocuspocus/extension-database';
import { Server } from '@hocuspocus/server';
import pg from 'pg';

const { PORT, PGHOST, PGPASSWORD } = process.env;
const pool = new pg.Pool({ host: PGHOST, user: 'concord', password: PGPASSWORD, database: 'hocuspocus' });
await pool.query('create table if not exists document (name text primary key, data bytea not null)');

const database = new Database({
  async fetch({ documentName }) {
    const { rows } = await pool.query('select data from document where name = $1', [documentName]);
    return rows[0]?.data ?? null;
  },
  async store({ documentName, state }) {
    const write =
      'insert into document (name, data) values ($1, $2) on conflict (name) do update set data = excluded.data';
    await pool.query(write, [documentName, state]);
  }
});
const server = new Server({ port: Number(PORT), address: '127.0.0.1', quiet: true, extensions: [database] });
await server.listen();
console.log('listening');
