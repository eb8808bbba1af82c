import { describe, expect, it } from "vitest";
import { refusalToSendTokens, unusualHost, withoutSlash } from "../../../../src/platform/backend/token-url.ts";

describe("where a token may go", () => {
	it.each([
		"https://chatgpt.com/backend-api",
		"https://auth.openai.com",
		"HTTPS://PROXY.EXAMPLE:8443/x",
		"http://localhost:1234",
		"http://LOCALHOST/backend-api",
		"http://127.0.0.1:8080/backend-api",
		"http://127.8.9.1",
		"http://[::1]:8080",
	])("a place for a token is %s", (url) => {
		expect(refusalToSendTokens(url, "the setting")).toBeUndefined();
	});

	it.each([
		"http://chatgpt.com/backend-api",
		"http://localhost.evil.example",
		"http://evil-localhost",
		"http://evil.localhost",
		"http://127.0.0.1.evil.example",
		"http://127.0.0.1@evil.example/",
		"http://evil.example/?http://127.0.0.1",
		"http://0.0.0.0:8080",
		"http://192.168.1.10",
		"http://[::ffff:192.168.1.10]",
		"ws://127.0.0.1",
		"ftp://127.0.0.1",
		"file:///etc/passwd",
	])("a place for a token is not %s, and the setting is named", (url) => {
		expect(refusalToSendTokens(url, "MY_SETTING")).toMatch(/^MY_SETTING must use https/);
	});

	it.each(["", "chatgpt.com/backend-api", "https://", "not a url"])("is no URL at all: %j", (url) => {
		expect(refusalToSendTokens(url, "MY_SETTING")).toBe("MY_SETTING is not a URL.");
	});

	it.each(["http://me:hunter2@evil.example", "https://me:hunter2@chatgpt.com", "https://hunter2@chatgpt.com"])(
		"is refused and never quoted if it holds a password: %s",
		(url) => {
			const refusal = refusalToSendTokens(url, "MY_SETTING");
			expect(refusal).toMatch(/^MY_SETTING must/);
			expect(refusal).not.toContain("hunter2");
		},
	);

	it("loses its trailing slashes in linear time", () => {
		expect(["http://a.example//", "http://a.example", "/"].map(withoutSlash)).toEqual([
			"http://a.example",
			"http://a.example",
			"",
		]);
	});
});

describe("the host of another sign-in service", () => {
	const hostOf = (url: string) => unusualHost(url, "https://auth.openai.com");

	it.each([
		["https://issuer.example", "issuer.example"],
		["https://issuer.example:8443/x", "issuer.example:8443"],
		["https://me:hunter2@issuer.example", "issuer.example"],
		["https://auth.openai.com:8443", "auth.openai.com:8443"],
		["https://auth.openai.com.evil.example", "auth.openai.com.evil.example"],
	])("the host of another sign-in service is named: %s", (url, host) => {
		expect(hostOf(url)).toBe(host);
	});

	it.each([
		"https://auth.openai.com",
		"https://AUTH.OPENAI.COM/",
		"http://127.0.0.1:1455",
		"https://localhost",
		"no URL",
	])("the host of another sign-in service is none if it is the usual one, this machine or no URL: %s", (url) => {
		expect(hostOf(url)).toBeUndefined();
	});
});

describe("plain http to a loopback address", () => {
	const PROXY = "http://proxy.example:3128";
	const LOCAL = "http://127.0.0.1:8080/backend-api";
	const refusal = (env: Record<string, string>, url = LOCAL, isBun = false) =>
		refusalToSendTokens(url, "MY_SETTING", { env, isBun });

	it.each([
		["http_proxy", { http_proxy: PROXY }],
		["http_proxy", { http_proxy: PROXY, HTTP_PROXY: PROXY }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "chatgpt.com, localhost" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "127.0.0.1:8081" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "127.0.0.0/8" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "*,chatgpt.com" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "0.0.1" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "*0.0.1" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: " *" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "127.0.0.1." }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "http://127.0.0.1" }],
		["HTTP_PROXY", { HTTP_PROXY: "http://me:hunter2@proxy.example:3128", NO_PROXY: "127.0.0.1;localhost" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "127.0.0.1", no_proxy: "chatgpt.com" }],
		["HTTP_PROXY", { HTTP_PROXY: PROXY, NO_PROXY: "127.0.0.1", no_proxy: "" }],
	])("is refused, naming %s, with %j", (variable, env) => {
		expect(refusal(env)).toContain(`and ${variable} `);
		expect(refusal(env)).not.toContain("proxy.example");
	});

	it.each([
		{},
		{ HTTPS_PROXY: PROXY, https_proxy: PROXY },
		{ HTTP_PROXY: "" },
		{ http_proxy: "", HTTP_PROXY: PROXY },
		{ ALL_PROXY: PROXY },
		{ HTTP_PROXY: PROXY, NO_PROXY: "*" },
		{ HTTP_PROXY: PROXY, NO_PROXY: "127.0.0.1" },
		{ http_proxy: PROXY, no_proxy: "chatgpt.com 127.0.0.1" },
		{ HTTP_PROXY: PROXY, NO_PROXY: "localhost,127.0.0.1:8080" },
		{ HTTP_PROXY: PROXY, NO_PROXY: ".0.0.1" },
		{ HTTP_PROXY: PROXY, NO_PROXY: "*.0.0.1" },
	])("plain http to a loopback is allowed with %j", (env) => {
		expect(refusal(env)).toBeUndefined();
	});

	it.each([
		["http://localhost:8080", "LOCALHOST", true],
		["http://LocalHost", "localhost:80", true],
		["http://localhost", "127.0.0.1", false],
		["http://localhost", ".localhost", false],
		["http://localhost", "*.localhost", false],
		["http://localhost", "localhost.", false],
		["http://localhost:8080", "localhost:08080", true],
		["http://localhost:8080", "localhost:0", true],
		["http://localhost:8080", "a,, localhost", true],
		["http://[::1]:8080", "[::1]", true],
		["http://[::1]:8080", "[::1]:8080", true],
		// Older hosts take the last digit for a port.
		["http://[::1]:8080", "::1", false],
	])("goes past proxies: %s with NO_PROXY=%s is %s", (url, NO_PROXY, isAllowed) => {
		expect(refusal({ HTTP_PROXY: PROXY, NO_PROXY }, url) === undefined).toBe(isAllowed);
	});

	it.each([{ ALL_PROXY: PROXY }, { http_proxy: "", HTTP_PROXY: PROXY }])("is refused on Bun with %j", (env) => {
		expect(refusal(env, LOCAL, true)).toContain("_PROXY");
	});

	it("plain http to a loopback is the only thing that a proxy decides over", () => {
		expect(refusal({ HTTP_PROXY: PROXY, ALL_PROXY: PROXY }, "https://chatgpt.com/backend-api", true)).toBeUndefined();
	});
});
