import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Wire {
  port: number;
  /** Every chunk arrives so much later, in order, give or take the jitter. */
  delay(milliseconds: number, jitter?: number): void;
  /** At most so many bytes a second each way on each line; 0: no limit. */
  throttle(bytesPerSecond: number): void;
  /** From now on nothing arrives and nobody is told: a cable pulled out. New lines hang too. */
  freeze(): void;
  /** Lines that were frozen are gone; new ones work. */
  heal(): void;
  /** Cuts every line so that both ends notice. */
  cut(): void;
  close(): void;
}

/** A wire of its own in front of a port: what lies between a ward's tablet and the server. */
export async function plug(target: number): Promise<Wire> {
  let frozen = false;
  let delay = 0;
  let jitter = 0;
  let rate = 0;
  let lines: Socket[] = [];

  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    lines.push(near, far);
    carry(near, far);
    carry(far, near);
  });

  function carry(from: Socket, to: Socket): void {
    /** When the last chunk is due: later ones never overtake it. */
    let due = 0;
    from.on('error', () => {});
    from.on('data', (chunk) => {
      if (frozen) return;
      const transfer = rate ? (chunk.length / rate) * 1_000 : 0;
      const wanted = performance.now() + delay + Math.random() * jitter;
      due = Math.max(due + transfer, wanted);
      setTimeout(() => !frozen && !to.destroyed && to.write(chunk), Math.max(0, due - performance.now()));
    });
    from.on('close', () => {
      if (!frozen) setTimeout(() => to.destroy(), Math.max(0, due - performance.now()));
    });
  }

  function cut(): void {
    for (const line of lines) line.destroy();
    lines = [];
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    delay(milliseconds, spread = 0) {
      delay = milliseconds;
      jitter = spread;
    },
    throttle: (bytesPerSecond) => void (rate = bytesPerSecond),
    freeze: () => void (frozen = true),
    heal() {
      cut();
      frozen = false;
    },
    cut,
    close() {
      cut();
      server.close();
    }
  };
}
