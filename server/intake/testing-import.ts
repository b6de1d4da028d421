import { createReadStream } from 'node:fs';
import { eq } from 'drizzle-orm';
import { connect, disconnect } from '../db/connect.ts';
import { intoTasks } from '../sink.ts';
import { receive } from './receive.ts';
import { importRow } from './tables.ts';
import { runImport } from './work.ts';

/** A process to be killed: imports a file, or goes on with the import that an earlier one left. */
const { IMPORT_DATABASE, IMPORT_DATA_DIR, IMPORT_PROJECT, IMPORT_FILE } = process.env as Record<
  string,
  string
>;
const db = connect({ connectionString: IMPORT_DATABASE! });
const [left] = await db.select().from(importRow).where(eq(importRow.projectId, IMPORT_PROJECT!));
const id = left?.id ?? 'import_to_be_killed';
if (!left) {
  await receive(IMPORT_DATA_DIR!, id, createReadStream(IMPORT_FILE!));
  await db.insert(importRow).values({
    ...{ id, projectId: IMPORT_PROJECT!, status: 'queued', contentType: 'application/jsonl' }
  });
}
process.stdout.write('started\n');
await runImport(db, intoTasks, IMPORT_DATA_DIR!, id, () => false);
await disconnect(db);
