import type { AccountStore, StateStore } from "../../core/ports.ts";
import type { SharedPool } from "./shared-pool.ts";

/** The stores of this process: those of its files, or those of the pool that this machine has joined. */
export interface PoolSwitch {
	/** Each call goes to the present store, even if this object was handed out before a pool was joined. */
	readonly accounts: AccountStore;
	readonly state: StateStore;
	/** Returns the open pool; undefined if there is none. */
	current(): SharedPool | undefined;
	/** Called with the setting whenever it is read. Opens or closes the pool in the background if another process has. */
	follow(name: string | undefined): void;
	/** Settles when nothing is being opened or closed; undefined if nothing ever was. Never rejects. */
	settling(): Promise<void> | undefined;
	/** Closes the open pool and opens it again, since its code has changed. Never rejects. */
	reopen(name: string | undefined): Promise<void>;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	/** The join code in the environment. It takes precedence over the settings. */
	readonly code: string | undefined;
	/** Loads and opens the pool; that of the environment if `name` is undefined. Undefined if none can be opened. */
	readonly open: (name: string | undefined) => Promise<SharedPool | undefined>;
	readonly onChanged: () => void;
	readonly onFailure: (error: unknown) => void;
}

/** Creates the switch. Without a pool each call goes to the files, and nothing else is done. */
export function createPoolSwitch({ accounts, state, code, open, onChanged, onFailure }: Deps): PoolSwitch {
	let pool: SharedPool | undefined;
	/** The pool that is open, or that was tried. */
	let wanted: string | undefined;
	let settling: Promise<void> | undefined;
	/** The environment names no pool. */
	const keyOf = (name: string | undefined) => (code === undefined ? name : OF_ENVIRONMENT);

	const change = async (key: string | undefined, isForced: boolean): Promise<void> => {
		wanted = key;
		settling = (settling ?? Promise.resolve())
			.then(async () => {
				if (key !== wanted && !isForced) return;
				const former = pool;
				pool = key === undefined ? undefined : await open(key === OF_ENVIRONMENT ? undefined : key);
				onChanged();
				await former?.rest();
			})
			.catch(onFailure);
		await settling;
	};
	return {
		accounts: onPresent(accounts, () => pool?.accounts ?? accounts),
		state: onPresent(state, () => pool?.state ?? state),
		current: () => pool,
		follow: (name) => {
			const key = keyOf(name);
			if (key !== wanted) void change(key, false);
		},
		settling: () => settling,
		reopen: (name) => change(keyOf(name), true),
	};
}

/** A name that no pool has. */
const OF_ENVIRONMENT = "\0environment";

/** Returns an object that forwards each method call to whatever `present` returns at that moment. */
function onPresent<T extends object>(first: T, present: () => T): T {
	const methods = new Map<string | symbol, (...args: unknown[]) => unknown>();
	return new Proxy(first, {
		get: (_, name) => {
			const known = methods.get(name);
			if (known) return known;
			const method = (...args: unknown[]): unknown => {
				const target: object = present();
				const found: unknown = Reflect.get(target, name);
				return typeof found === "function" ? Reflect.apply(found, undefined, args) : found;
			};
			methods.set(name, method);
			return method;
		},
	});
}
