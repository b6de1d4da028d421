import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { PreviewManifest } from '#wire/preview.ts';
import { SafetensorsError } from '../../src/lib/tensors/safetensors.ts';
import { Fault } from '../net/fault.ts';
import { json, type Route } from '../net/route.ts';
import { findModel, modelFolder } from '../runs/index.ts';
import type { Services } from '../services.ts';
import { ModelConfigError } from './onnx/model-config.ts';
import { ensurePreview, PreviewError, previewFolder } from './preview-folder.ts';

const home = ({ config }: Services) => join(config.dataDir, 'preview');

const manifest: Route = {
  method: 'GET',
  path: '/models/{model}/preview',
  summary: 'The files that run this base in a browser; made when first asked for',
  access: { who: 'member_somewhere', action: 'work.read' },
  answers: { 200: PreviewManifest },
  async handle({ services, params }) {
    const { manifest } = await preview(services, params.model!);
    return json(200, manifest, { 'cache-control': 'private, no-cache' });
  }
};

const FileQuery = z.object({ sha256: z.string().optional() });

const file: Route = {
  method: 'GET',
  path: '/models/{model}/preview/{name}',
  summary: 'One of these files; under its `sha256` it may be kept for ever',
  access: { who: 'member_somewhere', action: 'work.read' },
  query: FileQuery,
  answers: { 200: null },
  async handle({ services, params, query }) {
    const { manifest, folder } = await preview(services, params.model!);
    const found = manifest.files.find(({ name }) => name === params.name);
    if (!found) throw new Fault(404, 'not_found', 'The preview of this model has no such file.');
    if (query.sha256 !== undefined && query.sha256 !== found.sha256)
      throw new Fault(409, 'model_changed', 'This file of the model was replaced; load the preview again.');
    // Opened before the answer begins: a file that is gone must not become a broken body.
    const handle = await open(join(folder, found.name));
    const body = Readable.toWeb(handle.createReadStream()) as ReadableStream<Uint8Array>;
    const keep = query.sha256 ? 'private, max-age=31536000, immutable' : 'private, no-cache';
    return new Response(body, {
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(found.bytes),
        'cache-control': keep
      }
    });
  }
};

async function preview(
  services: Services,
  id: string
): Promise<{ manifest: PreviewManifest; folder: string }> {
  const model = await findModel(services.db, id);
  if (!model)
    throw new Fault(404, 'not_found', 'There is no such model; GET /models lists those that are registered.');
  const facts = await ensurePreview(home(services), {
    sha256: model.sha256,
    folder: modelFolder(services.config, model.path),
    parameters: model.facts.parameters
  }).catch((error: unknown) => {
    throw explain(error);
  });
  return {
    manifest: { model: model.id, name: model.name, ...facts },
    folder: previewFolder(home(services), model.sha256)
  };
}

function explain(error: unknown): unknown {
  const known = [PreviewError, SafetensorsError, ModelConfigError];
  if (known.some((kind) => error instanceof kind))
    return new Fault(422, 'no_preview', (error as Error).message);
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
    return new Fault(507, 'storage_full', 'The disk is full; the preview needs as much space as the model.');
  return error;
}

export const previewRoutes: Route[] = [manifest, file];
