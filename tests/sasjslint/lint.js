// Lints the SAS files named on the command line with @sasjs/lint. Ends with 1 when it says
// something, and when it would not notice a fault. What it is not asked for and why stands in
// docs/dependencies.md.
const { mkdtempSync, rmSync, writeFileSync } = require('fs')
const { tmpdir } = require('os')
const { join } = require('path')
const { LintConfig, lintFile } = require('@sasjs/lint')

const config = new LintConfig({
  noTrailingSpaces: true,
  noEncodedPasswords: true,
  noTabs: true,
  noGremlins: true,
  noSpacesInFileNames: true,
  noNestedMacros: true,
  hasMacroNameInMend: true,
  strictMacroDefinition: true,
  lineEndings: 'lf',
  hasDoxygenHeader: false,
  hasMacroParentheses: false,
  lowerCaseFileNames: false,
  indentationMultiple: 1
})

const FAULTY = [
  '%macro a;\n%mend b;\n',
  '%macro a;\n%mend;\n',
  '%macro a;\n%macro b;\n%mend b;\n%mend a;\n',
  '%macro a(x y);\n%mend a;\n',
  '%let x = 1; \n',
  '\t%let x = 1;\n',
  '%let x = 1;\r\n',
  '%let x = \u00a01;\n'
]

async function notNoticed() {
  const folder = mkdtempSync(join(tmpdir(), 'lint-sas-'))
  const missed = []
  for (const text of FAULTY) {
    writeFileSync(join(folder, 'faulty.sas'), text)
    if ((await lintFile(join(folder, 'faulty.sas'), config)).length === 0) missed.push(text)
  }
  rmSync(folder, { recursive: true })
  return missed
}

async function main(files) {
  const said = (await notNoticed()).map((text) => `not noticed: ${JSON.stringify(text)}`)
  for (const file of files) {
    for (const { lineNumber, message } of await lintFile(file, config)) {
      said.push(`${file}:${lineNumber}: ${message}`)
    }
  }
  said.forEach((line) => console.log(line))
  console.log(`@sasjs/lint: ${files.length} files, ${said.length} findings`)
  process.exitCode = said.length > 0 || files.length === 0 ? 1 : 0
}

main(process.argv.slice(2))
