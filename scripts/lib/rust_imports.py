"""Owns what is read out of Rust's source for `layering`: which modules there are, and which of them a module imports.

It reads no types: an import is a path in a `use` or in code, followed through `pub use` to the module that has what is
imported. Code that is for tests alone (`#[cfg(test)]`) is left out: a test may look at whatever it wants.
"""
import collections, os, re

# A path that a `use` brings in, the name that it has there, and whether others may have it from there.
Import = collections.namedtuple("Import", "words name is_public")

TOKENS = re.compile(r"""
    //[^\n]* | /\*.*?\*/                      # comments
    | b?r(?P<hashes>\#*)".*?"(?P=hashes)      # raw strings
    | b?"(?:\\.|[^"\\])*"                     # strings
    | b?'(?:\\[^\n]+?|[^\\'\n])'              # characters, which lifetimes are not
""", re.VERBOSE | re.DOTALL)


def code_of(text):
    """The text without comments, and with nothing in its strings."""
    return TOKENS.sub(lambda found: "" if found[0].startswith("/") else '""', text)


def end_of_item(code, at):
    """Where the item that begins here ends: at its `;`, or where its braces are closed."""
    depth = 0
    for index in range(at, len(code)):
        if code[index] in "{[(":
            depth += 1
        elif code[index] in "}])":
            depth -= 1
            if depth == 0 and code[index] == "}":
                return index + 1
        elif code[index] == ";" and depth == 0:
            return index + 1
    return len(code)


def without_tests(code):
    """The code without what is for tests alone, and the modules in other files that are."""
    kept, modules, at = [], set(), 0
    for found in re.finditer(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*", code):
        if found.start() < at:
            continue
        end = end_of_item(code, found.end())
        kept.append(code[at:found.start()])
        if named := re.fullmatch(r"(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", code[found.end():end].strip()):
            modules.add(named[1])
        at = end
    return "".join(kept) + code[at:], modules


def leaves(tree, before=()):
    """The paths of a `use` tree, each with the name that it has here."""
    tree = tree.strip()
    depth, parts = 0, [""]
    for letter in tree:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    for part in filter(None, map(str.strip, parts)):
        if "{" in part:
            head, inner = part.split("{", 1)
            yield from leaves(inner.rsplit("}", 1)[0], before + words_of(head))
        else:
            path, _, alias = (piece.strip() for piece in re.sub(r"\s+as\s+", " as ", part).partition(" as "))
            words = before + words_of(path)
            if words[-1] == "self":
                words = words[:-1]
            yield words, alias or words[-1]


def words_of(path):
    return tuple(word for word in re.split(r"\s*::\s*", path.strip()) if word)


class Source:
    """The modules below a directory, by their paths: () is the crate's root. The program's own file, which is above all
    of them, is left out."""

    def __init__(self, root):
        self.root, self.files = root, {}
        for directory, _, names in os.walk(root):
            for name in names:
                if name.endswith(".rs") and name != "main.rs":
                    path = os.path.join(directory, name)
                    words = tuple(os.path.relpath(path, root)[:-3].split(os.sep))
                    self.files[words[:-1] if words[-1] in ("mod", "lib") else words] = path
        self.code, for_tests = {}, set()
        for module, path in self.files.items():
            self.code[module], named = without_tests(code_of(open(path).read()))
            for_tests |= {(*module, name) for name in named}
        for module in list(self.files):
            if any(module[:length] in for_tests for length in range(1, len(module) + 1)):
                del self.files[module], self.code[module]
        self.uses = {module: list(self.read_uses(module)) for module in self.files}

    def name(self, module):
        return os.path.relpath(self.files[module], self.root)

    def read_uses(self, module):
        for found in re.finditer(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", self.code[module]):
            for words, name in leaves(found[2]):
                yield Import(words, name, bool(found[1]))

    def absolute(self, module, words, seen=()):
        """The path from the crate's root; None where it leads into another crate."""
        if words[0] == "crate":
            return words[1:]
        if words[0] == "self":
            return module + words[1:]
        if words[0] == "super":
            while words and words[0] == "super":
                module, words = module[:-1], words[1:]
            return module + words
        if (*module, words[0]) in self.files:
            return module + words
        for use in self.uses[module]:
            if use.name == words[0] and use not in seen and use.words != words:
                head = self.absolute(module, use.words, (*seen, use))
                return None if head is None else head + words[1:]
        return None

    def owner(self, path, seen=()):
        """The module that has what this path leads to, through what others hand on."""
        length = max((n for n in range(len(path) + 1) if path[:n] in self.files), default=None)
        if length is None:
            return None
        module, rest = path[:length], path[length:]
        if rest and (module, rest[0]) not in seen:
            for use in self.uses[module]:
                if use.is_public and use.name in (rest[0], "*"):
                    handed = self.absolute(module, use.words[:-1] + (rest[0],) if use.name == "*" else use.words)
                    found = handed and self.owner(handed + rest[1:], (*seen, (module, rest[0])))
                    if found and (use.name != "*" or self.has(found, rest[0])):
                        return found
        return module

    def has(self, module, name):
        return re.search(rf"\b(fn|struct|enum|trait|type|const|static|mod|union)\s+{name}\b", self.code[module])

    def imports(self, module, with_handed_on=False):
        """The other modules that this one imports, each with the names. What it only hands on (`pub use`) is none of
        its imports, unless asked for."""
        found = collections.defaultdict(set)
        code = re.sub(r"\buse\s+[^;]+;", "", self.code[module])
        paths = [words_of(path) for path in re.findall(r"(?<![\w:])(?:\w+\s*::\s*)+\w+", code)]
        paths += [use.words for use in self.uses[module]
                  if not use.is_public or with_handed_on or re.search(rf"\b{re.escape(use.name)}\b", code)]
        for words in paths:
            path = self.absolute(module, words)
            owner = None if path is None else self.owner(path)
            if owner is not None and owner != module:
                found[owner].add("::".join(path))
        return found
