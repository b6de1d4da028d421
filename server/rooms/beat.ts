import type { WebSocket } from 'ws';
import { limits } from '../limits.ts';

export interface Beat {
  /** False where the other end does not answer in time; the socket is then ended. */
  probe(): Promise<boolean>;
  stop(): void;
}

/** A dead line is noticed and freed; a living page hears from us before it takes the silence for one. */
export function keepAlive(socket: WebSocket, onBeat: () => void): Beat {
  let answered = true;
  let listeners: (() => void)[] = [];
  socket.on('pong', () => {
    answered = true;
    for (const heard of listeners.splice(0)) heard();
  });
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
    onBeat();
  }, limits.rooms.beat_seconds * 1_000);
  return {
    probe() {
      socket.ping();
      return new Promise((resolve) => {
        const late = setTimeout(() => {
          listeners = listeners.filter((one) => one !== heard);
          socket.once('close', () => resolve(false));
          socket.terminate();
        }, limits.rooms.probe_ms);
        const heard = () => {
          clearTimeout(late);
          resolve(true);
        };
        listeners.push(heard);
      });
    },
    stop: () => clearInterval(timer)
  };
}
