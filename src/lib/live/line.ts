import * as decoding from 'lib0/decoding';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import type { News } from '$lib/wire/news';
import { CLIENT, NEWS, SAVED } from '$lib/wire/room';
import type { Deliveries } from './deliveries.ts';

export interface Line {
  provider: WebsocketProvider;
  /** Shares where this page is; the server adds who it belongs to. */
  say(state: Record<string, unknown>): void;
  /** Edits under an id that this page was given before, where it cannot be given one now. */
  adopt(client: number): void;
  close(): void;
}

export interface Listeners {
  /** The page may edit from now on: it has a client id that nobody else has in this room. */
  admitted?(): void;
  /** The server said what is on disk, or a frame went out. */
  delivered?(): void;
  connected?(connected: boolean): void;
  /** The server's state has arrived. */
  synced?(): void;
  /** The server told something that is not in the document. */
  news?(news: News): void;
  /** The server closed the door for good (4400-4499), with its sentence. */
  refused?(code: number, reason: string): void;
}

/**
 * y-websocket's client with the house's own messages. A page edits under one id for one page load: the first that it
 * is given, also after the line was cut.
 */
export function openLine(room: string, doc: Y.Doc, deliveries: Deliveries, on: Listeners): Line {
  const origin = location.origin.replace(/^http/, 'ws');
  const provider = new WebsocketProvider(`${origin}/yjs`, room, doc, {
    WebSocketPolyfill: countingSocket(deliveries, () => on.delivered?.()),
    // Two tabs of one person meet on the server, which alone can say "saved".
    disableBc: true,
    connect: false
  });
  let admitted = false;
  const admit = (id: number) => {
    if (admitted) return;
    admitted = true;
    deliveries.owns(id);
    adopt(provider, id);
    on.admitted?.();
  };
  provider.messageHandlers[CLIENT] = (_, decoder) => admit(decoding.readVarUint(decoder));
  provider.messageHandlers[SAVED] = (_, decoder) => {
    const committed = Y.decodeStateVector(decoding.readVarUint8Array(decoder));
    deliveries.saved(committed, decoding.readVarUint(decoder));
    on.delivered?.();
  };
  provider.messageHandlers[NEWS] = (_, decoder) =>
    on.news?.(JSON.parse(decoding.readVarString(decoder)) as News);
  provider.on('status', ({ status }) => on.connected?.(status === 'connected'));
  provider.on('sync', (synced: boolean) => synced && on.synced?.());
  provider.on('closed', ({ code, reason }) => on.refused?.(code, reason));
  provider.awareness.setLocalState({});
  provider.connect();
  return {
    provider,
    say: (state) => provider.awareness.setLocalState(state),
    adopt: admit,
    close: () => provider.destroy()
  };
}

function countingSocket(deliveries: Deliveries, sent: () => void): typeof WebSocket {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      deliveries.connected();
    }
    override send(frame: Uint8Array<ArrayBuffer>): void {
      deliveries.sending(frame);
      super.send(frame);
      sent();
    }
  };
}

/** What the page says of itself moves to the new id along with its edits. */
function adopt({ awareness, doc }: WebsocketProvider, id: number): void {
  const state = awareness.getLocalState();
  awareness.setLocalState(null);
  doc.clientID = id;
  awareness.clientID = id;
  // Pages take a stranger's first state for old news: its clock is 0, as if they had seen it. The second is told.
  awareness.setLocalState({});
  awareness.setLocalState(state);
}
