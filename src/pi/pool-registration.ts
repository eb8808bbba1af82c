import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import { guarded, tellDefect } from "../core/defect-reports.ts";
import type { PoolListener } from "../core/events.ts";
import { POOL_MODEL_ID, PROVIDER } from "../core/ids.ts";
import { hasVirtualModels, type VirtualModel } from "./virtual-models.ts";

/** Keeps the virtual model of pool and chain registered with the host for as long as it is wanted. */
export interface PoolRegistration {
	/** False on hosts without virtual models. */
	readonly isAvailable: boolean;
	isRegistered(): boolean;
	/**
	 * Registers the model, or removes it. Never rejects: an error of the host is reported, and the next session tries
	 * again.
	 */
	keep(ctx: ExtensionContext | undefined): Promise<void>;
	/** Starts a session, to which a registered model is adapted. */
	begin(ctx: ExtensionContext): void;
}

interface Deps {
	readonly isWanted: () => boolean;
	/** Returns the model as it is for a session. */
	readonly define: (ctx: ExtensionContext | undefined) => VirtualModel;
	/** Called once, after the model was first registered. */
	readonly onFirst: () => void;
	/** Moves a session that is on the model to another one. */
	readonly leave: (ctx: ExtensionContext | undefined) => Promise<unknown>;
	readonly emit: PoolListener;
}

/** Creates the registration. Registers nothing yet. */
export function createPoolRegistration(host: object, deps: Deps): PoolRegistration {
	const { isWanted, define, onFirst, leave, emit } = deps;
	let isRegistered = false;
	let wasRegistered = false;
	/** What the host has refused in this session: registering the model (true) or removing it (false). */
	let refused: boolean | undefined;

	const register = (ctx: ExtensionContext | undefined) => {
		if (hasVirtualModels(host)) host.registerVirtualModel(define(ctx));
	};
	const change = async (ctx: ExtensionContext | undefined) => {
		if (!hasVirtualModels(host)) return;
		if (isWanted()) {
			register(ctx);
			isRegistered = true;
			if (wasRegistered) return;
			wasRegistered = true;
			onFirst();
			return;
		}
		isRegistered = false;
		try {
			await leave(ctx);
		} finally {
			// It may be wanted again meanwhile.
			if (!isRegistered) host.unregisterVirtualModel(PROVIDER, POOL_MODEL_ID);
		}
	};
	return {
		isAvailable: hasVirtualModels(host),
		isRegistered: () => isRegistered,
		keep: async (ctx) => {
			const wanted = isWanted();
			// Runs on every event of the pool, also on the one that reports its failure.
			if (!hasVirtualModels(host) || wanted === isRegistered || wanted === refused) return;
			try {
				await change(ctx);
				refused = undefined;
			} catch (error) {
				refused = wanted;
				tellDefect(error, "session", emit);
			}
		},
		begin: (ctx) => {
			refused = undefined;
			if (isRegistered) guarded(() => register(ctx), "session", emit);
		},
	};
}
