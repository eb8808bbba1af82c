import { createHash } from "node:crypto";
import { within } from "../../core/abort.ts";
import { tellDefect } from "../../core/defect-reports.ts";
import type { PoolEvent } from "../../core/events.ts";
import { iso } from "../../core/iso-time.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, StateStore } from "../../core/ports.ts";
import { hideEmails, hideEmailsIn } from "../../core/privacy.ts";
import type { QuietHours, Settings } from "../../core/settings.ts";
import type { NoticeDocument } from "../../pi/json-schemas.ts";
import type { Hooks } from "./hook.ts";
import { createNewsFinder, type OutsideNotice } from "./news.ts";
import { chooseWay, type Environment, sequenceFor } from "./terminal.ts";
import { hookFailure, trial } from "./texts.ts";

/** How sending a notice went. `failure` is a whole sentence. */
export type Delivery =
	| { readonly kind: "sent" }
	/** There is no way to send it. */
	| { readonly kind: "off" | "no-terminal" | "no-command" }
	| { readonly kind: "failed"; readonly failure: string };

/** Notices for a person who does not see pi. */
export interface OutsideNotices {
	/** Sends the notice for an event, unless another process does. Never rejects. */
	hear(event: PoolEvent): Promise<void>;
	/** Sends a notice now, even in quiet hours, so that the person sees whether it arrives. */
	tryOut(): Promise<Delivery>;
	/** Gives what is in progress a moment, then ends commands that are still running. */
	end(): Promise<void>;
}

/** The terminal that this pi draws on. */
export interface Screen {
	/** False in print, JSON and RPC mode, where a program reads the output. */
	isOurs(): boolean;
	write(bytes: string): void;
	readonly env: Environment;
}

/** Dependencies of the notices. */
interface OutsideDeps {
	readonly pool: Pick<Pool, "accounts" | "emit" | "state">;
	readonly state: Pick<StateStore, "claimNotice" | "endNotice">;
	readonly settings: () => Pick<Settings, "notify" | "maskEmails">;
	/** Returns the line in the chat about an event. */
	readonly lineOf: (event: PoolEvent) => string | undefined;
	readonly screen: Screen;
	readonly hooks: Hooks;
	readonly clock: Clock;
}

/** How long the end of pi waits for what is in progress. */
const LAST_MS = 1000;
/** How long before a command that still fails gets another warning. */
const FAILURE_MS = 24 * 3_600_000;

/** Creates the notices. */
export function createOutsideNotices(deps: OutsideDeps): OutsideNotices {
	const { pool, state, settings, lineOf, screen, hooks, clock } = deps;
	const isAnyReady = () => pool.accounts().some((account) => pool.state(account) === "ready");
	const finder = createNewsFinder({ lineOf, isAnyReady, now: clock.now });

	/** Returns why no notice can be sent in the way that the person has chosen. */
	const obstacle = (): "off" | "no-terminal" | "no-command" | undefined => {
		const { to, command } = settings().notify;
		if (to === "off") return "off";
		if (to === "terminal") return screen.isOurs() ? undefined : "no-terminal";
		return command.length > 0 ? undefined : "no-command";
	};

	const send = async (notice: OutsideNotice): Promise<Delivery> => {
		const inTheWay = obstacle();
		if (inTheWay) return { kind: inTheWay };
		const { notify, maskEmails } = settings();
		if (notify.to === "terminal") {
			const text = maskEmails ? hideEmails(notice.text) : notice.text;
			screen.write(sequenceFor(text, chooseWay(notify.terminal, screen.env)));
			return { kind: "sent" };
		}
		const document = documentOf(notice, clock.now());
		const bytes = `${JSON.stringify(maskEmails ? hideEmailsIn(document) : document)}\n`;
		const failure = hookFailure(notify.command, await hooks.run(notify.command, bytes));
		return failure === undefined ? { kind: "sent" } : { kind: "failed", failure };
	};

	const hear = async (event: PoolEvent) => {
		const news = finder.newsIn(event);
		// A process that cannot send leaves the notice to one that can.
		if (!news || obstacle() || !(await news.claim(state))) return;
		const { quiet, command } = settings().notify;
		if (quiet && isQuiet(quiet, clock.now())) return;
		const delivery = await send(news.notice);
		if (delivery.kind !== "failed") return;
		const claim = { until: clock.now() + FAILURE_MS, slackMs: FAILURE_MS };
		const isOurs = await state.claimNotice(`hook ${hashOf(command)}`, claim);
		if (isOurs) pool.emit({ type: "warning", text: `${delivery.failure} /multicodex notify test tries it again.` });
	};

	/** Events received but not sent yet. */
	const pending = new Set<Promise<void>>();

	return {
		hear: (event) => {
			const work = hear(event).catch((error: unknown) => tellDefect(error, "notice", pool.emit));
			pending.add(work);
			return work.finally(() => pending.delete(work));
		},
		tryOut: () => send({ event: "test", text: trial() }),
		end: async () => {
			if (pending.size > 0) await within(Promise.all(pending), LAST_MS, () => undefined);
			hooks.end();
		},
	};
}

/** Returns the document that a command gets. */
function documentOf(notice: OutsideNotice, now: number): NoticeDocument {
	const { event, text, account, window = null, leftPercent = null, threshold = null, until } = notice;
	return {
		version: 1,
		event,
		at: new Date(now).toISOString(),
		text,
		account: account ? { id: account.id, label: account.label } : null,
		window,
		leftPercent,
		threshold,
		until: iso(until),
	};
}

/** True during quiet hours, on the local clock. */
export function isQuiet({ from, to }: QuietHours, now: number): boolean {
	const then = new Date(now);
	const minute = then.getHours() * 60 + then.getMinutes();
	return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

/** Distinguishes commands without keeping their content. */
function hashOf(argv: readonly string[]): string {
	return createHash("sha256").update(JSON.stringify(argv)).digest("hex").slice(0, 12);
}
