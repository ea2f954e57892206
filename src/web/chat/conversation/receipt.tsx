import { useEffect, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { Icon } from '../../ui/icons.tsx';
import { useOpenRoom } from './open-room.ts';
import type { Receipt } from './use-receipts.ts';

/**
 * The progress of the user's own message. One tick: the server has it. Two: another user has it. Two in colour: another
 * user has read it.
 */
export function ReceiptMark({ seq }: { seq: number }): JSX.Element | null {
  const { receipts, entry } = useOpenRoom();
  const [open, setOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  if (receipts === undefined) return null;
  const { read, delivered } = receipts.counts(seq);
  const stage = read > 0 ? 'read' : delivered > 0 ? 'delivered' : 'sent';
  const inside = (
    <>
      <Icon name={stage === 'sent' ? 'check' : 'checks'} size={15} />
      {read > 0 && receipts.others > 1 && <span aria-hidden="true">{read}</span>}
    </>
  );
  const words = inWords(read, delivered, receipts.others);
  if (entry?.kind === 'direct') {
    return (
      <span class="receipt" data-stage={stage} title={words}>
        {inside}
        <span class="sr-only">{words}</span>
      </span>
    );
  }
  return (
    <span class="receipt-place">
      <button
        ref={opener}
        class="receipt"
        data-stage={stage}
        type="button"
        aria-label={words}
        title={words}
        aria-haspopup="dialog"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {inside}
      </button>
      {open && <Readers receipt={receipts.readers(seq)} opener={opener} onClose={() => setOpen(false)} />}
    </span>
  );
}

function inWords(read: number, delivered: number, others: number): string {
  if (read > 0) return others === 1 ? 'Read' : `Read by ${read} of ${others}`;
  if (delivered > 0) return others === 1 ? 'Delivered' : `Delivered to ${delivered} of ${others}`;
  return 'Sent';
}

interface ReadersProps {
  receipt: Receipt;
  opener: { current: HTMLButtonElement | null };
  onClose: () => void;
}

function Readers({ receipt, opener, onClose }: ReadersProps): JSX.Element {
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => {
    panel.current?.focus({ preventScroll: true });
    panel.current?.scrollIntoView({ block: 'nearest' });
    const pressedOutside = ({ target }: PointerEvent): void => {
      if (target instanceof Node && !panel.current?.contains(target) && !opener.current?.contains(target)) onClose();
    };
    document.addEventListener('pointerdown', pressedOutside);
    return () => document.removeEventListener('pointerdown', pressedOutside);
  }, []);
  const parts = [
    ['Read by', receipt.read],
    ['Delivered to', receipt.delivered],
    ['Not yet', receipt.waiting],
  ] as const;
  return (
    <div
      ref={panel}
      class="receipt-who"
      role="dialog"
      aria-label="Read receipts"
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        opener.current?.focus();
        onClose();
      }}
      onBlur={({ relatedTarget }) => relatedTarget !== null && relatedTarget !== opener.current && onClose()}
    >
      {parts.map(
        ([title, names]) =>
          names.length > 0 && (
            <section key={title}>
              <h4>{title}</h4>
              <ul>
                {names.map((name) => (
                  <li dir="auto">{name}</li>
                ))}
              </ul>
            </section>
          ),
      )}
    </div>
  );
}
