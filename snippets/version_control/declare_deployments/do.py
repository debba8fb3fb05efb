from deploying import deploy, on_the_server, project

if __name__ == "__main__":
    with project() as folder:
        deploy(folder, "--all")
        print("In March:", on_the_server())
        file = folder / "prefect.yaml"
        file.write_text(file.read_text().replace("batch: 100", "batch: 500"))
        deploy(folder, "--all")
        print("In May:  ", on_the_server())
