const types: Record<string, string> = {
  jsonl: 'application/jsonl',
  ndjson: 'application/jsonl',
  json: 'application/json',
  csv: 'text/csv',
  parquet: 'application/vnd.apache.parquet'
};

export interface FileFormat {
  contentType: string;
  gzip: boolean;
  /** A Parquet file has its table of contents at its end: its beginning shows nothing. */
  previewable: boolean;
}

export const accepted = '.jsonl,.ndjson,.json,.csv,.parquet,.gz';

/** By the name, as people know their files; null where it ends in none that Concord reads. */
export function formatOf(name: string): FileFormat | null {
  const found = /\.([a-z]+)(\.gz)?$/i.exec(name);
  const contentType = types[found?.[1]?.toLowerCase() ?? ''];
  if (!contentType) return null;
  const gzip = Boolean(found![2]);
  const parquet = contentType === types.parquet;
  // Parquet is packed in itself; the server refuses it packed once more.
  return parquet && gzip ? null : { contentType, gzip, previewable: !parquet };
}

export function headersOf({ contentType, gzip }: FileFormat): Record<string, string> {
  return { 'content-type': contentType, ...(gzip ? { 'content-encoding': 'gzip' } : {}) };
}
