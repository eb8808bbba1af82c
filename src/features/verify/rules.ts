import type { Account } from "../../core/account.ts";
import type { LinkObstacle } from "../../core/beyond/chain.ts";
import { accountWith } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import { expiresSoon, type ResetCredit } from "../../core/reset-credits/reset-credits.ts";
import type { SharedPoolStatus } from "../../core/shared-pool.ts";
import { isBefore, offersPlanLogin } from "../../pi/host-version.ts";

/** How much a finding matters; a `problem` keeps accounts from being used. */
export type Level = "ok" | "note" | "warning" | "problem";

/** A file that we or pi keep in the agent directory. */
export interface FileFact {
	readonly name: string;
	/** `pi`: pi writes it, too, and only a person repairs it. */
	readonly owner: "us" | "pi";
	readonly content: "good" | "missing" | "unreadable" | "broken" | "newer" | "older";
	readonly bytes: number;
	/** Rows that this version cannot read. */
	readonly unreadableRows: number;
}

/**
 * Everything that lies there and may hold a login, with its permission bits; undefined where there are none (Windows).
 */
export interface EntryFact {
	readonly name: string;
	readonly kind: "directory" | "file" | "quarantined" | "leftover";
	readonly mode: number | undefined;
}

/** A lock that a process holds, or has left behind. */
export interface LockFact {
	readonly name: string;
	/** Since it was touched last, negative where it is dated ahead. A live holder touches it every few seconds. */
	readonly ageMs: number;
	/** It is not an empty folder, which is what every holder makes. */
	readonly isStrange: boolean;
	/** From this age on every process may take it over. */
	readonly staleMs: number;
}

/** What lies in the agent directory. */
export interface DiskFacts {
	readonly files: readonly FileFact[];
	readonly entries: readonly EntryFact[];
	readonly locks: readonly LockFact[];
	readonly isWritable: boolean;
	/** Files that lie, as links, in another folder in which nothing can be written; `target` is where. */
	readonly readOnly?: readonly { readonly name: string; readonly target: string }[];
	readonly accounts: readonly Account[];
	readonly piLogin: {
		readonly kind: "oauth" | "foreign" | "none" | "unreadable";
		/** Whose login it is, and its refresh token. */
		readonly owner: AccountId | undefined;
		readonly refresh: string | undefined;
	};
	/** pi is signed in with ChatGPT under its provider `openai`, too. */
	readonly hasPlanLogin?: boolean;
	/** Complaints about preferences, as whole sentences. */
	readonly settings: readonly string[];
}

/** What one endpoint said to a request without a token. */
export interface EndpointFact {
	readonly name: "backend" | "issuer";
	/** Why tokens may not be sent there. */
	readonly refusal: string | undefined;
	/** What Node calls the fault of its certificate, where that is not trusted here. */
	readonly untrusted?: string | undefined;
	/** Undefined: no answer in time. */
	readonly status: number | undefined;
	/** It asks for a proof that a person is there. */
	readonly isChallenge: boolean;
	/** Its clock minus ours, ms. */
	readonly skewMs: number | undefined;
}

/** Something that was mended: permissions narrowed, a stale lock or leftover removed, a broken file set aside. */
export interface Repair {
	readonly kind: "permissions" | "lock" | "leftover" | "set-aside";
	/** The file's name; of a broken one the name under which it is kept. */
	readonly subject: string;
}

/** An account set that is stored, and what is there of it. */
export interface SetFact {
	readonly folder: string;
	readonly isThere: boolean;
	/** It is the one that the session is bound to. */
	readonly holds: boolean;
	/** Its accounts that are in the pool, and how many are not. */
	readonly present: readonly AccountId[];
	readonly gone: number;
}

/** A cap that is stored. */
export interface CapFact {
	/** The id under which it is stored. */
	readonly id: AccountId;
	/** As `7d`. */
	readonly window: string;
	readonly floorPercent: number;
	/** The account does not serve now. */
	readonly isReached: boolean;
	/** The account has usage, and reports that window; undefined where its usage is not known. */
	readonly isReported: boolean | undefined;
}

/** Everything that {@link diagnose} judges. */
export interface HealthFacts extends DiskFacts {
	/** Epoch ms. */
	readonly now: number;
	readonly isEnabled: boolean;
	/** Undefined: not asked. */
	readonly endpoints: readonly EndpointFact[] | undefined;
	/** Version of the pi that looks; undefined where the program without pi does. */
	readonly hostVersion: string | undefined;
	/** The Node that pi runs on. */
	readonly nodeVersion: string | undefined;
	/** The session's model is one of pi's provider `openai`, and served by that sign-in. */
	readonly isOnPlanLogin?: boolean;
	/** This is a checkout, which pi transpiles, and not the package from npm. */
	readonly isFromSource?: boolean;
	/** Whether another extension has registered over the same provider, as far as the host lets one see. */
	readonly rival: "none" | "another" | "not-visible" | undefined;
	readonly sets?: readonly SetFact[];
	readonly caps?: readonly CapFact[];
	/** The links of the chain as they stand, and whether this host has the virtual model that uses them. */
	readonly chain?: {
		readonly isAvailable: boolean;
		readonly links: readonly { readonly name: string; readonly obstacle: LinkObstacle | undefined }[];
	};
	/** The pool that this machine shares with others, after a look at its database. */
	readonly sharedPool?: SharedPoolStatus | undefined;
	/** How many defects of ours the log holds. */
	readonly defects: number;
	/** Reset credits that are known, of accounts that are on. */
	readonly resetCredits?: readonly { readonly account: AccountId; readonly credit: ResetCredit }[];
	/** Variables in effect, by name. */
	readonly environment: readonly string[];
}

/** Everything that can be found. `ui/verify.ts` has the words of each. */
export type FindingCode =
	| "file-good"
	| "file-unreadable"
	| "file-broken"
	| "file-newer"
	| "file-older"
	| "rows-strange"
	| "directory-unwritable"
	| "file-read-only"
	| "permissions-good"
	| "permissions-wide"
	| "leftover"
	| "quarantined"
	| "lock-held"
	| "lock-stale"
	| "lock-ahead"
	| "lock-strange"
	| "pool-empty"
	| "pool-unusable"
	| "sign-ins-good"
	| "tokens-due"
	| "sign-in-lost"
	| "sign-in-shared"
	| "account-off"
	| "link-gone"
	| "link-behind"
	| "link-elsewhere"
	| "link-twice"
	| "link-unusable"
	| "pi-key"
	| "plan-login"
	| "plan-login-used"
	| "endpoint-good"
	| "endpoint-unknown"
	| "endpoint-refused"
	| "endpoint-silent"
	| "endpoint-untrusted"
	| "endpoint-failing"
	| "endpoint-challenge"
	| "clock-good"
	| "clock-wrong"
	| "host-tried"
	| "host-untried"
	| "host-old"
	| "node-good"
	| "from-source"
	| "node-old"
	| "rival-none"
	| "rival-another"
	| "rival-not-visible"
	| "switched-off"
	| "chain-good"
	| "chain-no-host"
	| "chain-unknown"
	| "chain-virtual"
	| "chain-unsigned"
	| "chain-not-offered"
	| "setting-bad"
	| "set-holds"
	| "set-empty"
	| "set-account-gone"
	| "set-folder-gone"
	| "cap-kept"
	| "cap-reached"
	| "cap-unreported"
	| "cap-account-gone"
	| "shared-good"
	| "shared-away"
	| "shared-no-listen"
	| "shared-clock"
	| "shared-journal"
	| "defects"
	| "reset-credit-ends"
	| "environment"
	| "tls-unchecked";

/** One thing that was found. Holds no secret, no label and no e-mail. */
export interface Finding {
	readonly code: FindingCode;
	readonly level: Level;
	/** File, lock, account id, endpoint or variable. */
	readonly subject: string | undefined;
	/** A count, or ms; `code` says which. */
	readonly figure: number | undefined;
	/** More words, of our own making. */
	readonly detail: string | undefined;
}

/** Hosts on which every test runs, oldest first. */
const TRIED_HOSTS = ["0.73.1", "0.87.1", "1.5.2", "1.6.0"] as const;

const OLDEST_NODE = "20.6.0";
/** Windows last for hours: a clock that is wrong by less does no harm. */
const SKEW_MS = 60_000;
/** Tokens are renewed this long before they run out. */
const DUE_MS = 10 * 60_000;
const TLS_VARIABLE = "NODE_TLS_REJECT_UNAUTHORIZED";
const RANKS: Readonly<Record<Level, number>> = { problem: 0, warning: 1, note: 2, ok: 3 };

/** What the facts come to, worst first. */
export function diagnose(facts: HealthFacts): Finding[] {
	const findings = [
		...facts.files.flatMap(ofFile),
		...ofDirectory(facts),
		...(facts.readOnly ?? []).map(ofReadOnly),
		...facts.locks.map(ofLock),
		...ofAccounts(facts),
		...ofLink(facts),
		...ofPlanLogin(facts),
		...(facts.endpoints ? ofEndpoints(facts.endpoints) : []),
		...(facts.sharedPool ? ofSharedPool(facts.sharedPool) : []),
		...ofJournals(facts),
		...ofHost(facts),
		...ofChain(facts),
		...facts.settings.map((text) => finding("setting-bad", "warning", "settings.json", undefined, text)),
		...(facts.sets ?? []).flatMap(ofSet),
		...(facts.caps ?? []).map((cap) => ofCap(cap, facts.accounts)),
		...(facts.defects > 0 ? [finding("defects", "warning", "codex-events.jsonl", facts.defects)] : []),
		...(facts.resetCredits ?? []).flatMap((known) => ofResetCredit(known, facts.now)),
		...facts.environment.map(ofVariable),
	];
	return findings.sort((a, b) => RANKS[a.level] - RANKS[b.level]);
}

/** True where something keeps accounts from being used. */
export function hasProblem(findings: readonly Finding[]): boolean {
	return findings.some(({ level }) => level === "problem");
}

function finding(code: FindingCode, level: Level, subject?: string, figure?: number, detail?: string): Finding {
	return { code, level, subject, figure, detail };
}

function ofFile({ name, owner, content, bytes, unreadableRows }: FileFact): Finding[] {
	switch (content) {
		case "missing":
			return [];
		case "good":
			return unreadableRows > 0
				? [finding("rows-strange", "warning", name, unreadableRows)]
				: [finding("file-good", "ok", name, bytes)];
		case "older":
			return [finding("file-older", "note", name)];
		case "newer":
			return [finding("file-newer", "warning", name)];
		case "unreadable":
			return [finding("file-unreadable", "problem", name)];
		default:
			return [finding("file-broken", "problem", name, undefined, owner)];
	}
}

/** pi's login and our files are renewed all the time, settings when a person wants it. */
function ofReadOnly({ name, target }: { readonly name: string; readonly target: string }): Finding {
	if (name === "settings.json") return finding("file-read-only", "note", name, undefined, target);
	return finding("file-read-only", name === "auth.json" ? "warning" : "problem", name, undefined, target);
}

/** Others may read it, or a directory's names. */
function isWide({ mode }: EntryFact): boolean {
	return mode !== undefined && (mode & 0o077) !== 0;
}

function ofDirectory({ entries, isWritable }: DiskFacts): Finding[] {
	const wide = entries.filter(isWide);
	const areKnown = entries.some(({ mode }) => mode !== undefined);
	const narrow = areKnown && wide.length === 0 ? [finding("permissions-good", "ok")] : [];
	return [
		...(isWritable ? [] : [finding("directory-unwritable", "problem")]),
		...narrow,
		...wide.map(({ name, kind, mode }) =>
			// The files in it are what counts; pi itself may have made it so.
			finding("permissions-wide", kind === "directory" ? "note" : "warning", name, mode),
		),
		...entries.filter(({ kind }) => kind === "leftover").map(({ name }) => finding("leftover", "warning", name)),
		...entries.filter(({ kind }) => kind === "quarantined").map(({ name }) => finding("quarantined", "note", name)),
	];
}

function ofLock({ name, ageMs, staleMs, isStrange }: LockFact): Finding {
	if (isStrange) return finding("lock-strange", "warning", name);
	if (ageMs > staleMs) return finding("lock-stale", "warning", name, ageMs);
	// A clock that is a little behind makes every lock look so.
	return ageMs < -staleMs
		? finding("lock-ahead", "warning", name, -ageMs)
		: finding("lock-held", "note", name, Math.abs(ageMs));
}

function ofAccounts({ accounts, now, piLogin }: HealthFacts): Finding[] {
	if (accounts.length === 0) return piLogin.kind === "none" ? [finding("pool-empty", "note")] : [];
	const on = accounts.filter(({ enabled }) => enabled);
	const usable = on.filter(({ needsLogin }) => !needsLogin);
	const due = usable.filter(({ credential }) => credential.expiresAt <= now + DUE_MS);
	const seen = new Set<string>();
	const shared = accounts.filter(({ credential: { refresh } }) => {
		const isSecond = seen.has(refresh);
		seen.add(refresh);
		return isSecond;
	});
	return [
		...(usable.length === 0 ? [finding("pool-unusable", "problem", undefined, accounts.length)] : []),
		...(usable.length > due.length ? [finding("sign-ins-good", "ok", undefined, usable.length - due.length)] : []),
		...(due.length > 0 ? [finding("tokens-due", "note", undefined, due.length)] : []),
		...on
			.filter(({ needsLogin }) => needsLogin)
			.map(({ id, needsLogin }) => finding("sign-in-lost", "warning", id, undefined, needsLogin?.reason)),
		...shared.map(({ id }) => finding("sign-in-shared", "warning", id)),
		...accounts.filter(({ enabled }) => !enabled).map(({ id }) => finding("account-off", "note", id)),
	];
}

/** pi's own login, and what our file says of it. */
function ofLink({ accounts, piLogin: { kind, owner, refresh } }: DiskFacts): Finding[] {
	if (kind === "unreadable") return [];
	const linked = accounts.filter((account) => account.linked);
	const gone = linked.filter(({ id }) => id !== owner);
	const behind = linked.filter(({ id, credential }) => id === owner && credential.refresh !== refresh);
	return [
		...(kind === "foreign" ? [finding("pi-key", "note", "auth.json")] : []),
		...(kind === "oauth" && owner === undefined ? [finding("link-unusable", "warning", "auth.json")] : []),
		...(linked.length > 1 ? [finding("link-twice", "warning", undefined, linked.length)] : []),
		...gone.map(({ id }) => finding("link-gone", "note", id)),
		...behind.map(({ id }) => finding("link-behind", "note", id)),
		...accounts.flatMap(({ id, linkedElsewhere }) => (linkedElsewhere ? [finding("link-elsewhere", "note", id)] : [])),
	];
}

/** Such a sign-in never passes through us, and pi's default model is one of it where both are there. */
function ofPlanLogin({ hasPlanLogin = false, isOnPlanLogin = false, hostVersion }: HealthFacts): Finding[] {
	if (!hasPlanLogin || hostVersion === undefined || !offersPlanLogin(hostVersion)) return [];
	return [isOnPlanLogin ? finding("plan-login-used", "warning", "openai") : finding("plan-login", "note", "openai")];
}

function ofEndpoints(endpoints: readonly EndpointFact[]): Finding[] {
	const isBackendKnown = endpoints.some(({ name }) => name === "backend");
	return [
		...endpoints.map(ofEndpoint),
		...(isBackendKnown ? [] : [finding("endpoint-unknown", "note", "backend")]),
		...ofClock(endpoints),
	];
}

function ofEndpoint({ name, refusal, untrusted, status, isChallenge }: EndpointFact): Finding {
	if (refusal !== undefined) return finding("endpoint-refused", "problem", name, undefined, refusal);
	if (untrusted !== undefined) return finding("endpoint-untrusted", "problem", name, undefined, untrusted);
	if (status === undefined) return finding("endpoint-silent", "problem", name);
	if (isChallenge) return finding("endpoint-challenge", "warning", name);
	return status >= 500 ? finding("endpoint-failing", "warning", name, status) : finding("endpoint-good", "ok", name);
}

/** The largest difference: an endpoint that is nearer does not make it smaller. */
function ofClock(endpoints: readonly EndpointFact[]): Finding[] {
	const skews = endpoints.flatMap(({ skewMs }) => (skewMs === undefined ? [] : [skewMs]));
	if (skews.length === 0) return [];
	const worst = skews.reduce((most, next) => (Math.abs(next) > Math.abs(most) ? next : most));
	const isWrong = Math.abs(worst) > SKEW_MS;
	return [finding(isWrong ? "clock-wrong" : "clock-good", isWrong ? "warning" : "ok", undefined, worst)];
}

/** A database that is not reached may be so again; anything else stays until a person has done something. */
function ofSharedPool({ connection, clockAheadMs = 0, others }: SharedPoolStatus): Finding[] {
	const isOff = Math.abs(clockAheadMs) > SKEW_MS;
	const clock = isOff ? [finding("shared-clock", "warning", undefined, clockAheadMs)] : [];
	if (connection.kind === "away") {
		const level = connection.problem === "away" ? "warning" : "problem";
		return [finding("shared-away", level, connection.problem, connection.since, connection.text), ...clock];
	}
	if (connection.kind === "unknown") return clock;
	const isDeaf = connection.kind === "connected" && connection.listens === false;
	return [
		finding("shared-good", "ok", undefined, others.length),
		...(isDeaf ? [finding("shared-no-listen", "note")] : []),
		...clock,
	];
}

const JOURNAL = /\.journal$/;

/** Tokens that came on this machine, and that the database may not have. */
function ofJournals({ entries }: DiskFacts): Finding[] {
	const journals = entries.filter(({ name, kind }) => kind === "file" && JOURNAL.test(name));
	return journals.length > 0 ? [finding("shared-journal", "warning", undefined, journals.length)] : [];
}

function ofHost({ hostVersion, nodeVersion, rival, isEnabled, isFromSource = false }: HealthFacts): Finding[] {
	const rivals = {
		none: finding("rival-none", "ok"),
		another: finding("rival-another", "warning"),
		"not-visible": finding("rival-not-visible", "note"),
	};
	return [
		...(hostVersion === undefined ? [] : [ofVersion(hostVersion)]),
		...(nodeVersion === undefined ? [] : [ofNode(nodeVersion)]),
		...(isFromSource ? [finding("from-source", "note")] : []),
		// Nothing of ours is registered while we are switched off.
		...(isEnabled ? [] : [finding("switched-off", "note")]),
		...(isEnabled && rival !== undefined ? [rivals[rival]] : []),
	];
}

function ofVersion(host: string): Finding {
	if (TRIED_HOSTS.some((tried) => tried === host)) return finding("host-tried", "ok", host);
	return isBefore(host, TRIED_HOSTS[0]) ? finding("host-old", "warning", host) : finding("host-untried", "note", host);
}

function ofNode(node: string): Finding {
	const isOld = isBefore(node, OLDEST_NODE);
	return finding(isOld ? "node-old" : "node-good", isOld ? "problem" : "ok", node);
}

function ofSet({ folder, isThere, holds, present, gone }: SetFact): Finding[] {
	// No session runs in a folder that is gone, but a link or another checkout may take its place.
	if (!isThere) return [finding("set-folder-gone", "warning", undefined, undefined, folder)];
	const isEmpty = present.length === 0;
	return [
		...(holds && !isEmpty ? [finding("set-holds", "note", undefined, present.length, folder)] : []),
		...(isEmpty ? [finding("set-empty", holds ? "problem" : "warning", undefined, undefined, folder)] : []),
		...(gone > 0 && !isEmpty ? [finding("set-account-gone", "warning", undefined, gone, folder)] : []),
	];
}

function ofCap({ id, window, floorPercent, isReached, isReported }: CapFact, accounts: readonly Account[]): Finding {
	if (!accountWith(accounts, id)) return finding("cap-account-gone", "warning", id, floorPercent, window);
	if (isReached) return finding("cap-reached", "note", id, floorPercent, window);
	const code = isReported === false ? "cap-unreported" : "cap-kept";
	return finding(code, "note", id, floorPercent, window);
}

/** What keeps a link from ever being asked. What passes by itself is no finding. */
const CHAIN_CODES: Partial<Record<LinkObstacle, FindingCode>> = {
	"unknown-model": "chain-unknown",
	virtual: "chain-virtual",
	"no-credentials": "chain-unsigned",
	"not-offered": "chain-not-offered",
};

function ofChain({ chain }: HealthFacts): Finding[] {
	if (!chain || chain.links.length === 0) return [];
	const bad = chain.links.flatMap(({ name, obstacle }) => {
		const code = obstacle && CHAIN_CODES[obstacle];
		return code ? [finding(code, "warning", name)] : [];
	});
	const good = chain.links.length - bad.length;
	return [
		...bad,
		...(good > 0 ? [finding("chain-good", "ok", undefined, good)] : []),
		...(chain.isAvailable ? [] : [finding("chain-no-host", "note")]),
	];
}

/** It is lost soon unless it is redeemed. `figure` is when, epoch ms. */
function ofResetCredit(
	{ account, credit }: { readonly account: AccountId; readonly credit: ResetCredit },
	now: number,
): Finding[] {
	return expiresSoon(credit, now) ? [finding("reset-credit-ends", "note", account, credit.expiresAt)] : [];
}

function ofVariable(name: string): Finding {
	return name === TLS_VARIABLE ? finding("tls-unchecked", "warning", name) : finding("environment", "note", name);
}
