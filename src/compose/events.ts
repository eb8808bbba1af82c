import { debuglog } from "node:util";
import { decisionOf } from "../core/decision.ts";
import { createDefectNews, tellDefect } from "../core/defect-reports.ts";
import type { EventType, PoolEvent, PoolEvents, PoolListener } from "../core/events.ts";
import { createLateLedger, type LateLedger } from "../core/ledger/late-ledger.ts";
import type { Ledger } from "../core/ledger/ledger.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { AccountStore, Clock, EventLog, ForecastSource, SettingsStore, StateStore } from "../core/ports.ts";
import { noticeOf } from "../features/notices/texts.ts";
import type { OutsideNotices, Screen } from "../features/notify/outside.ts";
import { once } from "../platform/lazily.ts";
import { repositoryOf, type SessionFolders } from "../platform/stores/session-folders.ts";

/** Prints defects with their whole stack to standard error if `NODE_DEBUG` names us. */
const debug = debuglog("multicodex");

/** Problems of files and endpoints. */
interface Warnings {
	/** Those from before a session could show them. */
	readonly early: string[];
	add(text: string): void;
	/** Makes each later one an event, now that there are listeners. */
	becomeEvents(): void;
}

/** Creates an empty list of warnings. */
export function createWarnings(emit: PoolListener): Warnings {
	const early: string[] = [];
	let areEvents = false;
	return {
		early,
		add: (text) => {
			if (areEvents) emit({ type: "warning", text });
			else early.push(text);
		},
		becomeEvents: () => {
			areEvents = true;
		},
	};
}

/** Notices outside the chat, and the terminal that they may go to. */
export interface OutsideParts {
	readonly screen: Screen;
	readonly load: () => Promise<OutsideNotices>;
	/** Starts a session. `isOnScreen`: pi draws on the terminal. */
	begin(isOnScreen: boolean): void;
	end(): Promise<void>;
}

interface OutsideDeps {
	readonly pool: Pool;
	readonly state: StateStore;
	readonly settings: SettingsStore;
	readonly clock: Clock;
}

/** Events that a person may be notified of outside the chat. */
const NOTIFIED: ReadonlySet<EventType> = new Set([
	"waiting",
	"asking",
	"exhausted",
	"chain-serves",
	"recovered",
	"signed-out",
	"closed",
	"last-one",
	"pool-low",
]);

/** Sends notices outside the chat. Their code is loaded with the first event that may need one, if they are wanted. */
export function notifyOutside({ pool, state, settings, clock }: OutsideDeps): OutsideParts {
	let isOnScreen = false;
	const screen: Screen = {
		isOurs: () => isOnScreen && process.stdout.isTTY === true && process.env.TERM !== "dumb",
		write: (bytes) => void process.stdout.write(bytes),
		env: process.env,
	};
	const lineOf = (event: PoolEvent) => noticeOf(event, clock.now())?.text;
	let notices: Promise<OutsideNotices> | undefined;
	const open = async (): Promise<OutsideNotices> => {
		const { createHooks } = await import("../features/notify/hook.ts");
		const { createOutsideNotices } = await import("../features/notify/outside.ts");
		return createOutsideNotices({ pool, state, settings: settings.read, lineOf, screen, hooks: createHooks(), clock });
	};
	const load = once(() => {
		notices = open();
		return notices;
	});
	pool.subscribe((event) => {
		if (!NOTIFIED.has(event.type) || settings.read().notify.to === "off") return;
		load().then(
			({ hear }) => hear(event),
			(error: unknown) => tellDefect(error, "notice", pool.emit),
		);
	});
	return {
		screen,
		load,
		begin: (isTerminal) => {
			isOnScreen = isTerminal;
		},
		end: async () => (await notices?.catch(() => undefined))?.end(),
	};
}

interface WarningDeps extends OutsideDeps {
	readonly accounts: AccountStore;
	readonly forecasts: ForecastSource;
}

/**
 * Warns before all accounts have run out. Checks after each answer, if a person can see warnings and has more than one
 * account.
 */
export function warnBeforeEmpty({ accounts, pool, forecasts, state, settings, clock }: WarningDeps): {
	/** Starts a session. `hasReader`: a person can see warnings. */
	begin(hasReader: boolean): void;
} {
	const load = once(async () => {
		const { createPoolWarnings } = await import("../core/forecast/pool-warnings.ts");
		return createPoolWarnings({ pool, forecasts, state, settings: settings.read, clock });
	});
	let hasReader = false;
	pool.subscribe(({ type }) => {
		if (type !== "served" || !hasReader || accounts.list().length < 2) return;
		load()
			.then(({ look }) => look())
			.catch((error: unknown) => tellDefect(error, "forecast", pool.emit));
	});
	return {
		begin: (isRead) => {
			hasReader = isRead;
		},
	};
}

/** The ledger as requests write it. */
export interface LedgerParts extends LateLedger {
	/** Loads the ledger as a person reads it. */
	readonly open: () => Promise<Ledger>;
}

interface LedgerDeps {
	readonly path: string;
	readonly folders: Pick<SessionFolders, "folderOf">;
	readonly settings: SettingsStore;
	readonly events: PoolEvents;
	readonly clock: Clock;
}

/** Keeps the ledger of requests and of moves between accounts. */
export function keepLedger({ path, folders, settings, events, clock }: LedgerDeps): LedgerParts {
	const onFailure = (error: unknown) => tellDefect(error, "ledger", events.emit);
	const load = once(async () => {
		const { openLedgerStore } = await import("../platform/stores/ledger-store.ts");
		return openLedgerStore({ path, now: clock.now, projectOf: repositoryOf, onFailure });
	});
	const isOn = () => settings.read().ledger;
	const ledger = createLateLedger({ isOn, folderOf: folders.folderOf, load, onFailure, now: clock.now });
	events.subscribe((event) => {
		if (event.type === "rotated") ledger.record({ kind: "rotated", account: event.from.id, asked: event.asked });
	});
	return {
		...ledger,
		open: async () => {
			const store = await load();
			// Include entries that are not written yet.
			const read = async () => {
				await ledger.flush();
				return store.read();
			};
			return { ...store, read };
		},
	};
}

/** Logs the decisions of the pool, and each defect once. */
export function logDecisions({ subscribe }: PoolEvents, log: EventLog, clock: Clock): void {
	const isNews = createDefectNews(clock.now);
	subscribe((event) => {
		if (event.type === "defect") {
			debug("%s (%s)\n  %s", event.trace.error, event.where, event.trace.stack.join("\n  "));
			if (!isNews(event)) return;
		}
		const decision = decisionOf(event);
		if (decision) log.append(decision);
	});
}
