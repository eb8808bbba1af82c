/** Hosts for which plain http does not leave the machine. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const HTTP_PORT = 80;

/** The environment of this process that names proxies. */
interface ProxySource {
	readonly env: Readonly<Record<string, string | undefined>>;
	/** bun reads more proxy variables than Node. */
	readonly isBun: boolean;
}

const OF_THIS_PROCESS: ProxySource = { env: process.env, isBun: "bun" in process.versions };

/**
 * Returns why a token must not be sent to `url`, naming the setting that the URL came from; undefined if it may. Tokens
 * travel over https, or to a loopback address without any proxy. Never quotes the URL, which may contain a password.
 */
export function refusalToSendTokens(url: string, setting: string, proxies = OF_THIS_PROCESS): string | undefined {
	const parsed = URL.canParse(url) ? new URL(url) : undefined;
	if (!parsed) return `${setting} is not a URL.`;
	const isPlain = parsed.protocol === "http:" && LOOPBACK.test(parsed.hostname);
	if (parsed.protocol !== "https:" && !isPlain) {
		return `${setting} must use https (or a loopback address): a Codex sign-in is never sent in the clear.`;
	}
	if (parsed.username !== "" || parsed.password !== "") {
		return `${setting} must not hold a user name or password: no request can be made to such a URL.`;
	}
	const variable = isPlain ? proxyFor(parsed, proxies) : undefined;
	if (variable === undefined) return undefined;
	// Newer hosts copy their setting into that variable.
	const name = variable === "HTTP_PROXY" ? "HTTP_PROXY (or httpProxy in settings.json)" : variable;
	return (
		`${setting} uses plain http, and ${name} would carry it to a proxy: a Codex sign-in is never sent in the clear. ` +
		"Add its host to NO_PROXY as it stands in the URL, or use https."
	);
}

/**
 * Returns the host of `url` if it is on another machine and differs from the host of `usual`: every token due for
 * renewal is sent there. Without user name or password.
 */
export function unusualHost(url: string, usual: string): string | undefined {
	if (!URL.canParse(url)) return undefined;
	const { hostname, host } = new URL(url);
	return LOOPBACK.test(hostname) || host === new URL(usual).host ? undefined : host;
}

/** Removes trailing slashes, so that a path can be added. */
export function withoutSlash(url: string): string {
	let end = url.length;
	while (url[end - 1] === "/") end -= 1;
	return url.slice(0, end);
}

/** Returns the variable whose proxy handles plain http to `url`; undefined if the connection is direct. */
function proxyFor(url: URL, { env, isBun }: ProxySource): string | undefined {
	const variable = isBun ? firstSet(env, ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]) : variableOfNode(env);
	if (variable === undefined || isPastProxies(url, env.no_proxy ?? env.NO_PROXY ?? "")) return undefined;
	return variable;
}

function firstSet(env: ProxySource["env"], names: readonly string[]): string | undefined {
	return names.find((name) => env[name]);
}

/** Follows undici's `EnvHttpProxyAgent`, which the hosts install: an empty `http_proxy` hides `HTTP_PROXY`. */
function variableOfNode(env: ProxySource["env"]): string | undefined {
	const variable = env.http_proxy === undefined ? "HTTP_PROXY" : "http_proxy";
	return env[variable] ? variable : undefined;
}

/**
 * True if `NO_PROXY` covers `url`, by the strictest reading of all undici versions that hosts may bring. Older ones
 * need brackets around IPv6 addresses.
 */
function isPastProxies(url: URL, noProxy: string): boolean {
	if (noProxy === "*") return true;
	const port = Number.parseInt(url.port, 10) || HTTP_PORT;
	return noProxy
		.toLowerCase()
		.split(/[,\s]/)
		.filter((entry) => entry !== "")
		.some((entry) => {
			const [, named = entry, onPort] = /^(.+):(\d+)$/.exec(entry) ?? [];
			if (onPort !== undefined && Number(onPort) !== 0 && Number(onPort) !== port) return false;
			// In older versions a name covers only itself, and a name with a leading dot covers every host that ends in it.
			return url.hostname === named || (/^\*?\./.test(named) && url.hostname.endsWith(named.replace("*", "")));
		});
}
