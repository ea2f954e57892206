/** The part of React that the hooks use. React is no dependency: the application brings React 18, 19 or Preact's compat. */
declare module 'react' {
  interface Context<T> {
    readonly Provider: unknown;
    // Contexts of different values have different types by this.
    readonly value?: T;
  }
  export function createContext<T>(value: T): Context<T>;
  export function useContext<T>(context: Context<T>): T;
  export function createElement(type: unknown, props: object, ...children: unknown[]): never;
  export function useEffect(effect: () => void | (() => void), dependencies: readonly unknown[]): void;
  export function useSyncExternalStore<T>(
    subscribe: (changed: () => void) => () => void,
    snapshot: () => T,
    serverSnapshot: () => T,
  ): T;
  export function useMemo<T>(make: () => T, dependencies: readonly unknown[]): T;
}
