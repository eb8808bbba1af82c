import type { ExtensionAPI, ExtensionContext, SessionMessageEntry } from "@mariozechner/pi-coding-agent";
import { type AccountId, asAccountId } from "../core/ids.ts";
import { PROVIDER } from "./provider.ts";

/** Type of the session entry that records which account serves the session. */
export const SESSION_ENTRY = "multicodex";

/** Records in the session which account serves it. */
interface SessionMemory {
	/** Called when another account than before has served the session. */
	moved(account: AccountId): void;
	/** Records the last move. Called after a message, so that what pi reports of one in progress is as without us. */
	write(): void;
}

/** Creates the memory without anything to record. */
export function createSessionMemory(pi: Pick<ExtensionAPI, "appendEntry">): SessionMemory {
	let unwritten: AccountId | undefined;
	return {
		moved: (account) => {
			unwritten = account;
		},
		write: () => {
			if (unwritten === undefined) return;
			pi.appendEntry(SESSION_ENTRY, { account: unwritten });
			unwritten = undefined;
		},
	};
}

/** What the session's branch records of the account that served it last. */
interface Remembered {
	readonly account?: AccountId;
	/** When it last answered, epoch ms. */
	readonly at?: number;
	/** True if the context was compacted since. */
	readonly isCompacted?: boolean;
}

/** Reads the session's branch. */
export function rememberedAccount(ctx: ExtensionContext): Remembered {
	let found: Remembered = {};
	for (const entry of ctx.sessionManager.getBranch()) {
		const at = Date.parse(entry.timestamp);
		if (entry.type === "custom" && entry.customType === SESSION_ENTRY) {
			const account = accountIn(entry.data);
			if (account !== undefined) found = { account, at };
		}
		// The prompt cache is as old as the session's last answer, not as its last change of account.
		const isAnswer = entry.type === "message" && isOurAnswer(entry.message);
		if (isAnswer && found.account !== undefined) found = { account: found.account, at };
		if (entry.type === "compaction") found = { ...found, isCompacted: true };
	}
	return found;
}

/** True if one of our accounts answered to the end. Only that keeps a running session on its account, too. */
function isOurAnswer(message: SessionMessageEntry["message"]): boolean {
	if (message.role !== "assistant" || message.provider !== PROVIDER) return false;
	return message.stopReason !== "error" && message.stopReason !== "aborted";
}

function accountIn(data: unknown): AccountId | undefined {
	const account = typeof data === "object" && data !== null && "account" in data ? data.account : undefined;
	return typeof account === "string" ? asAccountId(account) : undefined;
}
