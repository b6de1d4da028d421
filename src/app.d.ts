import type { App as Server } from '../server/app.ts';
import type { Actor } from '../server/auth/actor.ts';

declare global {
  namespace App {
    interface Locals {
      app: Server;
      actor: Actor | null;
    }
    interface PageState {
      [key: string]: never;
    }
  }
}

export {};
