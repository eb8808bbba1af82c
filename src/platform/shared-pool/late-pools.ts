import type { SharedPools } from "../../core/ports.ts";
import type { SharedPool } from "./shared-pool.ts";

/** Loads, at first use, what a person does with a shared pool. A machine without a pool loads nothing to say so. */
export function createLatePools(current: () => SharedPool | undefined, load: () => Promise<SharedPools>): SharedPools {
	return {
		status: () => current()?.status(),
		codes: () => current()?.codes(),
		look: async (signal) => (current() ? (await load()).look(signal) : undefined),
		create: async (pool, signal) => (await load()).create(pool, signal),
		join: async (code, machine, signal) => (await load()).join(code, machine, signal),
		add: async (accounts, signal) => (await load()).add(accounts, signal),
		leave: async (take, how, signal) => (await load()).leave(take, how, signal),
		rotate: async (url, signal) => (await load()).rotate(url, signal),
	};
}
