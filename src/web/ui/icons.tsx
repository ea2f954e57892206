import type { JSX } from 'preact';

const paths = {
  back: 'M15 5l-7 7 7 7',
  channel: 'M9.5 4 8 20M16 4l-1.5 16M4.5 9h15.5M4 15h15.5',
  group:
    'M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11zM3 19.5c0-3.2 2.7-5 6-5s6 1.8 6 5M16 5a3.2 3.2 0 0 1 0 6M17.5 14.8c2.1.6 3.5 2.2 3.5 4.7',
  plus: 'M12 5v14M5 12h14',
  compass: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM15.5 8.5l-2 5-5 2 2-5z',
  send: 'M5 12h14M13 6l6 6-6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  close: 'M6 6l12 12M18 6L6 18',
  reply: 'M10 6l-5 5 5 5M5.5 11H13a6 6 0 0 1 6 6v1',
  smile: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM8.5 14c.8 1.3 2 2 3.5 2s2.7-.7 3.5-2M9.2 9.6v.1M14.8 9.6v.1',
  edit: 'M4.5 19.5l.8-3.8L16 5a1.7 1.7 0 0 1 2.4 0l.6.6a1.7 1.7 0 0 1 0 2.4L8.3 18.7z',
  bin: 'M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v5.5M13.7 10.5v5.5',
  more: 'M5.5 12v.1M12 12v.1M18.5 12v.1',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.5v2M12 19.5v2M4.2 4.2l1.5 1.5M18.3 18.3l1.5 1.5M2.5 12h2M19.5 12h2M4.2 19.8l1.5-1.5M18.3 5.7l1.5-1.5',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  search: 'M10.8 17.6a6.8 6.8 0 1 0 0-13.6 6.8 6.8 0 0 0 0 13.6zM15.8 15.8l4.7 4.7',
  bell: 'M6.5 16.5V11a5.5 5.5 0 0 1 11 0v5.5L19 18H5zM10 20.7c.5.5 1.2.8 2 .8s1.5-.3 2-.8',
  quiet:
    'M6.5 16.5V11c0-1 .3-1.9.7-2.7M9.7 6a5.5 5.5 0 0 1 7.8 5v3.5M16 18H5l1.5-1.5M10 20.7c.5.5 1.2.8 2 .8s1.5-.3 2-.8M4 3.5l16.5 17',
  settings:
    'M4 7h9M19 7h1M4 17h1M11 17h9M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  link: 'M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 1 0-5.7-5.7L12 6.3M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 1 0 5.7 5.7L12 17.7',
  archive: 'M4 5h16v4H4zM5.5 9v10h13V9M10 13h4',
  at: 'M12 15.8a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6zM15.8 8.2v5.3c0 1.4.9 2.3 2.2 2.3s2.5-1.2 2.5-3.8a8.5 8.5 0 1 0-3.3 6.7',
  leave: 'M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 8l-4 4 4 4M6 12h9',
  clock: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.5V12l3 2',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  alert: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.5v5M12 16.2v.1',
  thread:
    'M20 11.5c0 4-3.6 7-8 7-1 0-2-.2-2.9-.5L4.5 19.5l1.2-3.6A6.6 6.6 0 0 1 4 11.5c0-4 3.6-7 8-7s8 3 8 7zM9 10h6M9 13.3h3.6',
  pin: 'M9 4h6l-.8 5.5 3.3 3.5H6.5l3.3-3.5zM12 13v7',
  unpin: 'M9 4h6l-.8 5.5 3.3 3.5H6.5l3.3-3.5zM12 13v7M4 4l16 16',
  checks: 'M2.5 12.8l4 4L15 8M11 15.6l1.2 1.2L21 8',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  file: 'M7 3.5h7l4 4v13H7zM14 3.5v4h4',
  attach: 'M19.5 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.6 1.6 0 0 1-2.2-2.2l7.2-7.2',
  image: 'M4.5 5h15v14h-15zM4.5 16l4.5-4.5 4 4 2.5-2.5 4 4M9 9.4v.1',
  chevron: 'M6.5 9.5l5.5 5.5 5.5-5.5',
  invite: 'M10 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3.5 20c0-3.5 2.9-5.5 6.5-5.5 1.4 0 2.8.3 3.9.9M18 14v6M15 17h6',
} as const;

export type IconName = keyof typeof paths;

/** Decoration only: the meaning is in a text or a label beside the icon. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

export function Mark({ size = 28 }: { size?: number }): JSX.Element {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="mark-ground" width="32" height="32" rx="9" />
      <path class="mark-front" d="M8 20.5V12a4 4 0 0 1 4-4h5a4 4 0 0 1 4 4v1.5a4 4 0 0 1-4 4h-5.5z" />
      <path class="mark-back" d="M24 24.5v-6a4 4 0 0 0-1.5-3.1 6 6 0 0 1-5.5 4.6h-3a3.5 3.5 0 0 0 3.3 2.3h4.2z" />
    </svg>
  );
}
