/**
 * The service worker of the demo: the shell of the page without a network, and notifications from pushes. A push is JSON, as
 * docs/notifications.md describes.
 */
const shell = 'parley-shell';
const pages = ['./', 'theme.js', 'favicon.svg', 'manifest.webmanifest'];

addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(shell)
      .then((cache) => cache.addAll(pages))
      .then(() => skipWaiting()),
  );
});

addEventListener('activate', (event) => event.waitUntil(clients.claim()));

addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const path = url.pathname.slice(new URL(registration.scope).pathname.length);
  if (request.method !== 'GET' || url.origin !== location.origin || url.search !== '') return;
  // the names of assets have a hash of their content
  if (path.startsWith('assets/')) event.respondWith(kept(request));
  else if (request.mode === 'navigate' || pages.includes(path)) event.respondWith(fresh(request));
});

/** From the cache, or else from the network. */
async function kept(request) {
  const cache = await caches.open(shell);
  const held = await cache.match(request);
  if (held !== undefined) return held;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return answer;
}

/** From the network, or without one from the cache. */
async function fresh(request) {
  const cache = await caches.open(shell);
  try {
    const answer = await fetch(request);
    if (answer.ok) {
      await cache.put(request, answer.clone());
      if (request.mode === 'navigate') await forgetOldAssets(cache, await answer.clone().text());
    }
    return answer;
  } catch (error) {
    const held = await cache.match(request.mode === 'navigate' ? './' : request);
    if (held === undefined) throw error;
    return held;
  }
}

/** A new build has new assets; those of the builds before would fill the disk. Chunks that the page does not name stay for it. */
async function forgetOldAssets(cache, page) {
  const named = [...page.matchAll(/assets\/[\w.-]+/g)].map(([name]) => name);
  const last = await cache.match('named');
  const before = last === undefined ? [] : await last.json();
  if (named.every((name) => before.includes(name))) return;
  for (const request of await cache.keys()) {
    if (request.url.includes('/assets/') && !named.some((name) => request.url.endsWith(name)))
      await cache.delete(request);
  }
  await cache.put('named', new Response(JSON.stringify(named)));
}

addEventListener('push', (event) => {
  const push = dataOf(event.data);
  if (push === undefined) return;
  event.waitUntil(push.type === 'clear' ? clear(push) : show(push));
});

/** Undefined: another server has sent it. */
function dataOf(data) {
  try {
    const push = data.json();
    return typeof push.room === 'string' ? push : undefined;
  } catch {
    return undefined;
  }
}

async function show({ room, roomKind, seq, tag, badge, sender, senderName, roomName, text }) {
  const author = senderName ?? sender;
  const title =
    author === undefined ? 'Parley' : roomKind === 'direct' || !roomName ? author : `${author} in ${roomName}`;
  await setBadge(badge);
  await registration.showNotification(title, {
    body: text ?? 'New message',
    tag,
    // a later message of the room is news too
    renotify: true,
    icon: 'icon-192.png',
    badge: 'favicon.svg',
    data: { room, seq },
  });
}

async function clear({ tag, upTo, badge }) {
  await setBadge(badge);
  for (const shown of await registration.getNotifications({ tag })) if (shown.data?.seq <= upTo) shown.close();
}

/** The number on the icon of an installed page. */
async function setBadge(count) {
  if (!('setAppBadge' in navigator)) return;
  if (count > 0) await navigator.setAppBadge(count);
  else await navigator.clearAppBadge();
}

addEventListener('notificationclick', (event) => {
  event.notification.close();
  const { room, seq } = event.notification.data ?? {};
  if (room !== undefined) event.waitUntil(open(`#/room/${encodeURIComponent(room)}/${seq}`));
});

async function open(hash) {
  const [page] = await clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (page === undefined) {
    await clients.openWindow(registration.scope + hash);
    return;
  }
  page.postMessage({ hash });
  await page.focus();
}
