import { dev } from '$app/environment';

/** Keeps the app itself on this device, once nothing else is to do, so that its pages open without a connection. */
export function standBy(): () => void {
  if (dev || !('serviceWorker' in navigator)) return () => {};
  const later = setTimeout(
    () => void navigator.serviceWorker.register('/service-worker.js').catch(() => {}),
    2_000
  );
  return () => clearTimeout(later);
}
