/**
 * Loaded into a process before anything else (`--import`). Looks at every step that changes a file in `folder`, and at
 * token requests, and can
 * - write them down (`log`), in order, one a line;
 * - keep a ledger (`ledger`): the same with their times, whether the process stood still for them, and every
 * connection;
 * - send the process a signal right before one of them (`signal`);
 * - let the disk fail while a file (`trouble`) says how: "full" (no byte fits), "no-room" (nor any new file or folder),
 * "read-only", except for files of the host (`spared`, a pattern). The real thing needs a mount, which not every machine lets a test make, and could not be timed to the
 * step.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { basename, sep } from "node:path";

const { folder, ledger, log, signal, spared, trouble } = JSON.parse(process.env.TEST_PRELOAD_DISK ?? "{}");
const { appendFileSync, readFileSync } = fs;

/** Names of operations by what a failing disk does to them. */
const BYTES = new Set(["write", "writeFile", "appendFile"]);
const CREATION = new Set(["open", "mkdir"]);
/** A lock that is kept fresh says nothing of the order in which things happen. */
const UNTOLD = new Set(["utimes", "chmod", "truncate"]);

let isCounting = signal?.from === undefined;
let count = 0;

const enter = (what, isSync) => {
	if (ledger !== undefined) appendFileSync(ledger, `${JSON.stringify({ at: Date.now(), what, isSync })}\n`);
};

const step = (what) => {
	if (log !== undefined) appendFileSync(log, `${what}\n`);
	if (signal !== undefined) {
		const isMeant = isCounting && (signal.before === undefined || signal.before === what);
		if (isMeant) count += 1;
		if (what === signal.from) isCounting = true;
		if (isMeant && count === signal.nth) process.kill(process.pid, signal.name);
	}
};

const failureOf = (operation) => {
	if (trouble === undefined) return undefined;
	let mode = "";
	try {
		mode = readFileSync(trouble, "utf8");
	} catch {
		// No such file: the disk is fine.
		return undefined;
	}
	if (mode === "read-only") return "EROFS";
	const isFull = BYTES.has(operation) && mode !== "";
	const hasNoRoom = CREATION.has(operation) && mode === "no-room";
	return isFull || hasNoRoom ? "ENOSPC" : undefined;
};

/** What a file is called whatever process made it. */
const nameOf = (path) => basename(path).replace(/\.\d+-[0-9a-f]{8}\.tmp$/, ".tmp");

/** Without these pi 1.6.0 ends, with us or without: their disk is always good. */
const OF_HOST = new RegExp(spared ?? "^trust\\.json");

/** Called before an operation; throws what the disk says. */
const before = (operation, path, isSync = false) => {
	const text = String(path);
	if (folder === undefined || !text.startsWith(folder + sep)) return;
	enter(`${operation} ${nameOf(text)}`, isSync);
	if (!UNTOLD.has(operation)) step(`${operation} ${nameOf(text)}`);
	const code = OF_HOST.test(basename(text)) ? undefined : failureOf(operation);
	if (code === undefined) return;
	throw Object.assign(new Error(`${code}: ${operation} '${text}'`), { code, syscall: operation, path: text });
};

const CHANGING = fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT;

const isReading = (flags) => {
	if (typeof flags === "number") return (flags & CHANGING) === 0;
	return flags === undefined || flags === "r";
};

/** The path that an operation changes. */
const changed = (operation, args) => {
	if (operation === "open" && isReading(args[1])) return undefined;
	return operation === "rename" ? args[1] : args[0];
};

const OPERATIONS = ["open", "mkdir", "writeFile", "appendFile", "rename", "rm", "rmdir", "unlink", "utimes", "chmod"];
for (const operation of OPERATIONS) {
	const [callback, sync, promise] = [fs[operation], fs[`${operation}Sync`], fs.promises[operation]];
	fs[operation] = (...args) => {
		try {
			before(operation, changed(operation, args));
		} catch (error) {
			process.nextTick(args.at(-1), error);
			return;
		}
		callback(...args);
	};
	fs[`${operation}Sync`] = (...args) => {
		before(operation, changed(operation, args), true);
		return sync(...args);
	};
	fs.promises[operation] = async (...args) => {
		before(operation, changed(operation, args));
		const result = await promise(...args);
		if (operation === "open") paths.set(result, String(args[0]));
		return result;
	};
}

/** Where an open file is. */
const paths = new WeakMap();
const opened = await fs.promises.open(new URL(import.meta.url), "r");
const handles = Object.getPrototypeOf(opened);
await opened.close();
for (const operation of ["write", "sync", "truncate", "chmod"]) {
	const real = handles[operation];
	handles[operation] = async function changing(...args) {
		const path = paths.get(this);
		if (path !== undefined) before(operation, path);
		return real.apply(this, args);
	};
}
syncBuiltinESMExports();

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function connecting(...args) {
	// As `net.connect` and undici pass it: normalized, or plain.
	const { host, port } = [args[0]].flat()[0] ?? {};
	enter(`connect ${host}:${port}`, false);
	return connect.apply(this, args);
};

const realFetch = globalThis.fetch;
globalThis.fetch = async (...args) => {
	const isExchange = String(args[0]?.url ?? args[0]).endsWith("/oauth/token");
	if (isExchange) step("send token");
	const response = await realFetch(...args);
	if (isExchange) step("token answer");
	return response;
};
