import type { Pool } from "../../core/pool/pool.ts";
import type { SharedPools } from "../../core/ports.ts";
import type { AfterSignIn } from "../../pi/after-sign-in.ts";
import {
	type CommandContext,
	type Failure,
	isFailure,
	type Outcome,
	parseOptions,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { askForCode } from "./code-field.ts";
import { withPatience } from "./patience.ts";
import * as texts from "./texts.ts";
import { poolAsJson } from "./view.ts";
import {
	type GivenSecret,
	givenSecret,
	isCodeWord,
	isUrlWord,
	machineNamed,
	readSecret,
	takeValues,
	unquoted,
} from "./words.ts";

const NAME = "--name";
const JSON_OPTION = "--json";
const USAGE = `join [code|@file] [${NAME} <machine>] [${JSON_OPTION}]`;

interface Args {
	/** Undefined to ask the person. */
	readonly code: GivenSecret | undefined;
	readonly machine: string | undefined;
	readonly asJson: boolean;
}

interface Ports {
	readonly pool: Pick<Pool, "accounts" | "emit">;
	readonly sharedPools: SharedPools;
	readonly afterSignIn: AfterSignIn;
}

/** `/multicodex join`: joins a pool that another machine has created. */
export function createJoin(ports: Ports): Subcommand<Args> {
	return {
		name: "join",
		usage: USAGE,
		summary: "join the shared pool of another machine, by its code",
		complete: (before) => {
			const isNameNext = before.at(-1) === NAME;
			if (isNameNext || before.includes(NAME)) return [];
			return [{ value: NAME, label: NAME, description: "the name of this machine, if it is not its host name" }];
		},
		parse: parseJoin,
		run: (args, ctx) => joinNow(args, ctx, ports),
	};
}

function parseJoin(words: readonly string[]): Args | Failure {
	const valued = takeValues(words, NAME, USAGE);
	if (isFailure(valued)) return valued;
	const [quoted = "", ...others] = valued.rest;
	const first = unquoted(quoted);
	// A terminal may have broken a code into lines, and any piece of it may look like an option.
	const code = isCodeWord(first) ? [first, ...others.filter((word) => word !== JSON_OPTION)].join("") : undefined;
	const given = parseOptions(code === undefined ? valued.rest : others.filter(isOption), [JSON_OPTION, NAME], USAGE);
	if (isFailure(given)) return given;
	const named = machineNamed(valued.values);
	if (isFailure(named)) return named;
	const how = { machine: named.machine, asJson: given.options.has(JSON_OPTION) };
	if (code !== undefined) return { code: { kind: "typed", text: code }, ...how };
	const [word, ...more] = given.rest.map(unquoted);
	if (word === undefined) return { code: undefined, ...how };
	if (more.length > 0) return usageError(USAGE);
	if (word.startsWith("@")) return { code: givenSecret(word), ...how };
	return { failure: isUrlWord(word) ? texts.urlInPlaceOfCode() : texts.noCode() };
}

function isOption(word: string): boolean {
	return word === JSON_OPTION;
}

async function joinNow({ code, machine, asJson }: Args, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { sharedPools, pool } = ports;
	const before = sharedPools.status();
	if (before?.joinedBy === "environment") return { failure: texts.isByEnvironment() };
	if (code === undefined && !ctx.host.hasUI) return { failure: texts.codeMissing() };
	const text = code ? await readSecret(code, ctx.host.cwd) : await askForCode(ctx, texts.CODE_TITLE);
	if (text === undefined) {
		return { text: texts.NOT_JOINED, json: poolAsJson(before, pool.accounts()), asJson, isCancelled: true };
	}
	if (typeof text !== "string") return text;
	const joined = unquoted(text.replaceAll(/\s+/g, ""));
	if (!isCodeWord(joined)) return { failure: isUrlWord(joined) ? texts.urlInPlaceOfCode() : texts.noCode() };
	const status = await withPatience(ctx, (signal) => sharedPools.join(joined, machine, signal));
	pool.emit({ type: "changed" });
	const accounts = pool.accounts();
	const shared = accounts.filter((account) => account.shared);
	// These are the machine's first accounts, so its pi has selected no model yet.
	const isFirst = shared.length > 0 && shared.length === accounts.length;
	const { modelAdvice } = isFirst ? await ports.afterSignIn(shared, ctx) : { modelAdvice: "" };
	return { text: `${texts.joined(status, shared)}${modelAdvice}`, json: poolAsJson(status, accounts), asJson };
}
