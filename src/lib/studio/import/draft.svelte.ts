import { address, call, Refusal } from '$lib/ui/api.ts';
import type { Import, ImportPreview, Mapping } from '$lib/wire/import';
import { m } from '$lib/paraglide/messages.js';
import { formatOf, headersOf, type FileFormat } from './file-format.ts';
import { MappingDraft } from './mapping.svelte.ts';
import { send, type Sending } from './send.ts';

const PREVIEW_BYTES = 262_144;

/**
 * A file on its way in. It lives outside the page, so that neither a step back nor a look at another page loses the
 * file, and an upload goes on meanwhile.
 */
export class ImportDraft {
  readonly project: string;
  file = $state.raw<File | null>(null);
  format = $state.raw<FileFormat | null>(null);
  preview = $state.raw<ImportPreview | null>(null);
  mapped = $state.raw<MappingDraft | null>(null);
  looking = $state(false);
  sending = $state(false);
  sent = $state(0);
  secondsLeft = $state<number | null>(null);
  problem = $state.raw<unknown>(null);
  #upload: Sending | null = null;

  constructor(project: string) {
    this.project = project;
  }

  async choose(file: File): Promise<void> {
    this.forget();
    const format = formatOf(file.name);
    if (!format) {
      this.problem = m.work_import_unknown_name({ name: file.name });
      return;
    }
    this.file = file;
    this.format = format;
    if (format.previewable) await this.look();
  }

  async look(): Promise<void> {
    const { file, format } = this;
    if (!file || !format) return;
    this.looking = true;
    this.problem = null;
    try {
      const begin = await readable(file.slice(0, PREVIEW_BYTES));
      const preview = await post<ImportPreview>(`/projects/${this.project}/imports/preview`, begin, format);
      if (this.file !== file) return;
      this.preview = preview;
      if (preview.shape === null && preview.columns.length) this.mapByHand();
    } catch (thrown) {
      this.problem = thrown;
    } finally {
      this.looking = false;
    }
  }

  mapByHand(): void {
    if (this.preview) this.mapped = new MappingDraft(this.preview.columns, this.preview.rows);
  }

  /** Sends the whole file; answers with the import, or null where it failed and the file waits for another try. */
  async start(keepDuplicates: boolean): Promise<Import | null> {
    const { file, format } = this;
    if (!file || !format || this.sending) return null;
    const mapping: Mapping | null = this.mapped?.mapping ?? null;
    const query = {
      mapping: mapping ? JSON.stringify(mapping) : null,
      duplicates: keepDuplicates ? 'keep' : null
    };
    this.sending = true;
    this.problem = null;
    this.sent = 0;
    const began = performance.now();
    try {
      await readable(file.slice(0, 1));
      const to = address(`/projects/${this.project}/imports`, query);
      this.#upload = send(to, file, format, (bytes) => {
        this.sent = bytes;
        const seconds = (performance.now() - began) / 1000;
        // An estimate after a blink would only jump.
        this.secondsLeft = seconds > 1 ? ((file.size - bytes) / bytes) * seconds : null;
      });
      const made = await this.#upload.done;
      this.forget();
      return made;
    } catch (thrown) {
      if (!(thrown instanceof DOMException)) this.problem = thrown;
      return null;
    } finally {
      this.sending = false;
      this.secondsLeft = null;
    }
  }

  stop(): void {
    this.#upload?.abort();
  }

  forget(): void {
    this.file = this.format = this.preview = this.mapped = null;
    this.problem = null;
  }
}

/** A browser reads a chosen file when it is sent, and refuses one that was changed since. */
async function readable(part: Blob): Promise<Blob> {
  try {
    await part.slice(0, 1).arrayBuffer();
    return part;
  } catch {
    throw new Refusal(0, 'file_changed', m.work_import_changed());
  }
}

async function post<T>(path: string, body: Blob, format: FileFormat): Promise<T> {
  return call<T>(
    (address, options) => fetch(address, { ...options, body, headers: headersOf(format) }),
    path,
    {
      method: 'POST'
    }
  );
}

const drafts: Record<string, ImportDraft> = {};

export function draftOf(project: string): ImportDraft {
  return (drafts[project] ??= new ImportDraft(project));
}
