import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { PoolEvent } from "../core/events.ts";
import type { AccountId } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import { hideEmails } from "../core/privacy.ts";
import type { Settings } from "../core/settings.ts";
import { type Notice, writeNotice } from "./output.ts";

/** Lines in the chat: what a person should know of the pool. */
export interface ChatLines {
	tell(ctx: ExtensionContext, level: Notice["level"], text: string): void;
	/** Writes the line for an event, if there is one. Without a session, a warning waits for the next one. */
	hear(event: PoolEvent, ctx: ExtensionContext | undefined): void;
	/** Writes the warnings that have waited for a session. Returns false if there were none. */
	catchUp(ctx: ExtensionContext): boolean;
	/** Called with the person's next prompt, after which the same line is new again. */
	prompted(): void;
	/** Ends the session. */
	end(): void;
}

interface Deps {
	/**
	 * Returns what to tell a person about an event. `isKnownLost`: a warning has already said that the account is lost.
	 */
	readonly noticeOf: (event: PoolEvent, now: number, isKnownLost: (id: AccountId) => boolean) => Notice | undefined;
	readonly settings: () => Pick<Settings, "maskEmails" | "notifications">;
	readonly clock: Clock;
	/** Problems that occurred before a session could show them. Each is shown once. */
	readonly earlyWarnings: string[];
}

/** Creates the lines of a session's chat. */
export function createChatLines({ noticeOf, settings, clock, earlyWarnings }: Deps): ChatLines {
	let lastInfo: string | undefined;
	/** Accounts that a warning has already reported as unable to serve. */
	const knownLost = new Set<AccountId>();
	/** Standard error is also a screen, so mask e-mails. */
	const tell: ChatLines["tell"] = (ctx, level, text) =>
		writeNotice(ctx, level, settings().maskEmails ? hideEmails(text) : text);
	return {
		tell,
		hear: (event, ctx) => {
			const notice = noticeOf(event, clock.now(), (id) => knownLost.has(id));
			if (event.type === "signed-out" || event.type === "closed") knownLost.add(event.account.id);
			if (!notice || (event.type === "continued" && !settings().notifications)) return;
			// Two requests at once, such as those of a session and its summary, may report the same. After the next prompt it
			// is new again.
			if (notice.level === "info" && notice.text === lastInfo) return;
			if (notice.level === "info") lastInfo = notice.text;
			if (ctx) tell(ctx, notice.level, notice.text);
			else if (notice.level === "warning") earlyWarnings.push(notice.text);
		},
		catchUp: (ctx) => {
			const warnings = earlyWarnings.splice(0);
			for (const text of warnings) tell(ctx, "warning", text);
			return warnings.length > 0;
		},
		prompted: () => {
			lastInfo = undefined;
		},
		end: () => knownLost.clear(),
	};
}
