import type { SessionEntry } from "@mariozechner/pi-coding-agent";
import { POOL_MODEL_ID, PROVIDER } from "../core/ids.ts";

/** Type of the session entries in which the host keeps what a router returned. */
const STATE_ENTRY = "pi.virtual-model-state";

/** What the host keeps on the session's branch: the session's Codex model, and the link that it is on. */
export interface RouteState {
	readonly codex: string;
	readonly link: string | null;
}

/**
 * Returns the Codex model of a branch: the one chosen by the person or kept by a route, whichever is later; else the
 * one that answered last. An answer alone says little, since a link of the chain or a reserve model may have given it.
 */
export function codexOnBranch(branch: readonly SessionEntry[], chain: readonly string[]): string | undefined {
	let answered: string | undefined;
	for (const entry of branch.toReversed()) {
		const isChoice = entry.type === "model_change" && entry.provider === PROVIDER && entry.modelId !== POOL_MODEL_ID;
		if (isChoice) return entry.modelId;
		const state = stateOfEntry(entry);
		if (state) return state.codex;
		answered ??= codexAnswerIn(entry, chain);
	}
	return answered;
}

function codexAnswerIn(entry: SessionEntry, chain: readonly string[]): string | undefined {
	if (entry.type !== "message" || entry.message.role !== "assistant") return undefined;
	const { provider, model, stopReason } = entry.message;
	const isAnswer = provider === PROVIDER && stopReason !== "error" && stopReason !== "aborted";
	return isAnswer && !chain.includes(`${provider}/${model}`) ? model : undefined;
}

/** Returns the last state kept on a branch. */
export function latestState(branch: readonly SessionEntry[]): RouteState | undefined {
	for (const entry of branch.toReversed()) {
		const state = stateOfEntry(entry);
		if (state) return state;
	}
	return undefined;
}

function stateOfEntry(entry: SessionEntry): RouteState | undefined {
	if (entry.type !== "custom" || entry.customType !== STATE_ENTRY) return undefined;
	const { data } = entry;
	if (typeof data !== "object" || data === null || !("modelId" in data) || !("state" in data)) return undefined;
	const isOurs = "provider" in data && data.provider === PROVIDER && data.modelId === POOL_MODEL_ID;
	return isOurs ? stateIn(data.state) : undefined;
}

/**
 * Returns the state that a host hands back, if it is complete. It must be the same object: a host takes any other for a
 * new state.
 */
export function stateIn(state: unknown): RouteState | undefined {
	return isState(state) ? state : undefined;
}

function isState(state: unknown): state is RouteState {
	if (typeof state !== "object" || state === null || !("codex" in state) || !("link" in state)) return false;
	return typeof state.codex === "string" && (state.link === null || typeof state.link === "string");
}
